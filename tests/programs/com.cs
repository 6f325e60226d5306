using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

// COM in both directions: native objects called through their interfaces, and managed ones by native code. (Mono writes warnings about
// internal calls to standard output, too, where methods of `CounterClass` are compiled: they are not in the expected output.)

public struct Pair { public int A; public double B; }

[ComImport, Guid ("01234567-89ab-cdef-0123-456789abcdef"), InterfaceType (ComInterfaceType.InterfaceIsIUnknown)]
public interface ICounter {
	int Value { [MethodImpl (MethodImplOptions.InternalCall)] get; [MethodImpl (MethodImplOptions.InternalCall)] set; }
	long Add (sbyte a, short b, long c, float d, double e);
	string Greet (string name);
	bool Negate (bool truth);
	object Describe (object value);
	[return: MarshalAs (UnmanagedType.Interface)]
	ICounter Other ([MarshalAs (UnmanagedType.Interface)] ICounter given);
	int Sum (int count, [MarshalAs (UnmanagedType.LPArray, SizeParamIndex = 0)] int [] numbers);
	Pair Mirror (Pair pair, ref Pair changed);
	void Fail (int code);
	[PreserveSig] int Plain (int a);
}

[ComImport, Guid ("01234567-89ab-cdef-0123-456789abcdee"), InterfaceType (ComInterfaceType.InterfaceIsDual)]
public interface IDoubler {
	int Twice (int a);
}

[ComImport, Guid ("01234567-89ab-cdef-0123-456789abcd00"), InterfaceType (ComInterfaceType.InterfaceIsIUnknown)]
public interface IMissing {
	void Nothing ();
}

public class Managed : ICounter, IDoubler {
	int value;
	public int Value { get { return value; } set { this.value = value; } }
	public Managed () { }
	public Managed (int value) { this.value = value; }
	public long Add (sbyte a, short b, long c, float d, double e) { return a + b + c + (long) (d * 10) + (long) (e * 100) + value; }
	public string Greet (string name) { return "hello " + name; }
	public bool Negate (bool truth) { return !truth; }
	public object Describe (object value) { return value.GetType ().Name + " " + value; }
	public ICounter Other (ICounter given) { return given ?? new Managed (value + 1); }
	public int Sum (int count, int [] numbers) { int sum = 0; foreach (int number in numbers) sum += number; return sum; }
	public Pair Mirror (Pair pair, ref Pair changed) { changed.A++; changed.B++; return new Pair { A = -pair.A, B = -pair.B }; }
	public void Fail (int code)
	{
		switch (code) {
		case 1: throw new ArgumentException ("one");
		case 2: throw new NotImplementedException ();
		}
	}
	public int Plain (int a) { if (a < 0) throw new InvalidOperationException (); return a + value; }
	public int Twice (int a) { return 2 * a; }
	public void Unnamed () { }
}

[ComImport, Guid ("01234567-89ab-cdef-0123-456789abcd11")]
public class CounterClass : ICounter {
	public virtual extern int Value { [MethodImpl (MethodImplOptions.InternalCall)] get; [MethodImpl (MethodImplOptions.InternalCall)] set; }
	[MethodImpl (MethodImplOptions.InternalCall)] public virtual extern long Add (sbyte a, short b, long c, float d, double e);
	[MethodImpl (MethodImplOptions.InternalCall)] public virtual extern string Greet (string name);
	[MethodImpl (MethodImplOptions.InternalCall)] public virtual extern bool Negate (bool truth);
	[MethodImpl (MethodImplOptions.InternalCall)] public virtual extern object Describe (object value);
	[MethodImpl (MethodImplOptions.InternalCall)] public virtual extern ICounter Other (ICounter given);
	[MethodImpl (MethodImplOptions.InternalCall)] public virtual extern int Sum (int count, [MarshalAs (UnmanagedType.LPArray, SizeParamIndex = 0)] int [] numbers);
	[MethodImpl (MethodImplOptions.InternalCall)] public virtual extern Pair Mirror (Pair pair, ref Pair changed);
	[MethodImpl (MethodImplOptions.InternalCall)] public virtual extern void Fail (int code);
	[PreserveSig, MethodImpl (MethodImplOptions.InternalCall)] public virtual extern int Plain (int a);
}

public class Derived : CounterClass {
	int own = 7;
	static Derived () { ExtensibleClassFactory.RegisterObjectCreationCallback (outer => Program.create (50)); }
	public int Own () { return own++ + Value; }
	public override string Greet (string name) { return base.Greet (name) + "!"; }
}

[ComDefaultInterface (typeof (ISecond))]
public class Chosen : IFirst, ISecond {
	public int First () { return 1; }
	public int Second () { return 2; }
}
[Guid ("01234567-89ab-cdef-0123-456789abcd21"), InterfaceType (ComInterfaceType.InterfaceIsIUnknown)]
public interface IFirst { int First (); }
[Guid ("01234567-89ab-cdef-0123-456789abcd22"), InterfaceType (ComInterfaceType.InterfaceIsIUnknown)]
public interface ISecond { int Second (); }
public class Holding { public int Chosen () { return 3; } }

[ClassInterface (ClassInterfaceType.AutoDual)]
public class Dual {
	public Dual () { }
	public virtual int Virtual () { return 11; }
	public int Plain () { return 12; }
	internal int Hidden () { return 13; }
}

struct Holder {
	public int Before;
	[MarshalAs (UnmanagedType.Interface)] public ICounter Object;
	[MarshalAs (UnmanagedType.IUnknown)] public object Plain;
	public int After;
}

delegate ICounter Exchange ([MarshalAs (UnmanagedType.Interface)] ICounter input, [MarshalAs (UnmanagedType.Interface)] ref ICounter both, [MarshalAs (UnmanagedType.Interface)] out ICounter output);
delegate int TakesVariant (int kind, [MarshalAs (UnmanagedType.Struct)] object value);
delegate int FillsVariant (int kind, [MarshalAs (UnmanagedType.Struct)] ref object value);

public class Program {
	const string Library = "com";
	[DllImport (Library)] public static extern IntPtr create (int value);
	[DllImport (Library)] static extern int references (IntPtr counter);
	[DllImport (Library)] static extern int use_counter ([MarshalAs (UnmanagedType.Interface)] ICounter counter, [Out] int [] results);
	[DllImport (Library)] static extern int interfaces_of ([MarshalAs (UnmanagedType.IUnknown)] object o);
	[DllImport (Library)] static extern int is_same_object ([MarshalAs (UnmanagedType.IUnknown)] object a, ICounter b);
	[DllImport (Library)] static extern int hold (IntPtr o, int by);
	[DllImport (Library)] static extern int double_it (IDoubler o, int a);
	[DllImport (Library)] static extern int call_slot (IntPtr o, int slot);
	[DllImport (Library)] static extern int call_slot ([MarshalAs (UnmanagedType.Interface)] Chosen o, int slot);
	[DllImport (Library)] static extern int call_slot ([MarshalAs (UnmanagedType.Interface)] Dual o, int slot);
	[DllImport (Library)] static extern int number_of_name ([MarshalAs (UnmanagedType.IDispatch)] object o, [MarshalAs (UnmanagedType.LPWStr)] string name, out int number);
	[DllImport (Library)] static extern int dispatch_codes ([MarshalAs (UnmanagedType.IDispatch)] object o);
	[DllImport (Library)] static extern int use_on_thread (ICounter o);
	[DllImport (Library)] static extern int value_of (ICounter o);
	[DllImport (Library)] static extern ICounter pass (ICounter o);
	[DllImport (Library)] static extern void fetch (out ICounter place);
	[DllImport (Library)] static extern int replace (ref ICounter place);
	[DllImport (Library)] static extern int sum_all (int count, ICounter [] objects);
	[DllImport (Library)] static extern int value_in (Holder holder);
	[DllImport (Library)] static extern void fill (out Holder holder);
	[DllImport (Library)] static extern int exchange (Exchange function, [Out] int [] results);
	[DllImport (Library)] static extern long number_in ([MarshalAs (UnmanagedType.Struct)] object value);
	[DllImport (Library)] static extern int kind_of ([MarshalAs (UnmanagedType.Struct)] object value);
	[DllImport (Library)] static extern int change_variant ([MarshalAs (UnmanagedType.Struct)] ref object value);
	[DllImport (Library)] static extern int take_variant (TakesVariant function);
	[DllImport (Library)] static extern long fill_variant (FillsVariant function, int kind);
	[DllImport (Library)] static extern int is_null ([MarshalAs (UnmanagedType.SafeArray, SafeArraySubType = VarEnum.VT_VARIANT)] [In] Array array);
	[DllImport (Library)] static extern int is_null_behind ([MarshalAs (UnmanagedType.SafeArray, SafeArraySubType = VarEnum.VT_VARIANT)] [In, Out] ref Array array);

	static void Show (string what, params object [] values) { Console.WriteLine ("{0}: {1}", what, string.Join (" ", values)); }
	static void Raises (string what, Action action)
	{
		try { action (); Show (what, "nothing"); } catch (Exception e) { Show (what, e.GetType (), e.Message, e.HResult.ToString ("x")); }
	}

	static void NativeObjects ()
	{
		IntPtr native = create (5);
		object o = Marshal.GetObjectForIUnknown (native);
		Show ("object", o.GetType (), Marshal.IsComObject (o), Marshal.IsComObject ("no"), o is ICounter, o is IMissing, o is IDoubler, o is IComparable);
		ICounter c = (ICounter) o;
		c.Value = 6;
		Show ("value", c.Value, c.Add (-1, 2, 3000000000, 1.5f, 2.5), c.Greet ("abcd"), c.Greet (null), c.Negate (true), c.Negate (false));
		Show ("variants", c.Describe (5), c.Describe ("text"), c.Describe (true), c.Describe (null));
		Show ("interfaces", c.Other (c) == c, c.Other (null).Value, c.Other (new Managed (3)) is Managed);
		var changed = new Pair { A = 10, B = 20 };
		Pair mirrored = c.Mirror (new Pair { A = 1, B = 2.5 }, ref changed);
		Show ("structures", c.Sum (3, new [] { 1, 2, 3 }), mirrored.A, mirrored.B, changed.A, changed.B, c.Plain (100));
		Show ("dual", ((IDoubler) o).Twice (21));
		Raises ("fail", () => c.Fail (unchecked ((int) 0x80004005)));
		Raises ("fail", () => c.Fail (unchecked ((int) 0x80070057)));
		Raises ("fail", () => c.Fail (unchecked ((int) 0x80004001)));
		Raises ("fail", () => c.Fail (1));
		Raises ("cast", () => ((IMissing) o).Nothing ());
		Raises ("cast", () => ((IComparable) o).CompareTo (o));
		object again = Marshal.GetObjectForIUnknown (native);
		IntPtr unknown = Marshal.GetIUnknownForObject (o);
		Show ("identity", again == o, again.Equals (o), o.Equals (c), unknown == native, o.Equals (c.Other (null)), o.GetHashCode () == again.GetHashCode ());
		Marshal.Release (unknown);
		Func<string, string> greet = c.Greet;
		Show ("delegate", greet ("abc"));
		IntPtr counter = Marshal.GetComInterfaceForObject (o, typeof (ICounter));
		Guid identity = typeof (IMissing).GUID;
		IntPtr missing;
		Show ("query", counter == native, Marshal.QueryInterface (native, ref identity, out missing).ToString ("x"), missing);
		Marshal.Release (counter);
		Show ("release", references (native) > 1, Marshal.ReleaseComObject (o), Marshal.ReleaseComObject (o), Marshal.ReleaseComObject (o), references (native));
		Raises ("released", () => ((IMissing) o).Nothing ());
		Show ("slots", Marshal.GetComSlotForMethodInfo (typeof (ICounter).GetMethod ("Greet")), Marshal.GetComSlotForMethodInfo (typeof (IDoubler).GetMethod ("Twice")));
	}

	static void Classes ()
	{
		var d = new Derived ();
		Show ("class", d.GetType (), d.GetType ().BaseType, d.GetType ().BaseType.BaseType, d.GetType ().IsCOMObject, Marshal.IsComObject (d));
		Show ("methods", d.Value, d.Own (), d.Own (), d.Greet ("ab"), ((ICounter) d).Greet ("abc"), d.Plain (1), d.Sum (2, new [] { 3, 4 }));
		var created = (ICounter) Activator.CreateInstance (typeof (Derived));
		Show ("created", created.Value, created.Greet ("a"), created != d, created is IDoubler);
		Raises ("fail", () => d.Fail (unchecked ((int) 0x80070057)));
		try { new CounterClass (); } catch (DllNotFoundException) { Show ("no library"); }
	}

	static void ManagedObjects ()
	{
		var results = new int [40];
		var managed = new Managed ();
		int count = use_counter (managed, results);
		for (int i = 0; i < count; i++)
			Console.Write ("{0:x} ", results [i]);
		Console.WriteLine ();
		Show ("interfaces", interfaces_of (managed), interfaces_of ("text"), interfaces_of (new Program ()), interfaces_of (new Inner ()), is_same_object (managed, managed));
		Show ("dual", double_it (managed, 21));
		int number;
		Show ("names", number_of_name (managed, "Unnamed", out number), number == typeof (Managed).GetMethod ("Unnamed").MetadataToken);
		Show ("names", number_of_name (managed, "Missing", out number).ToString ("x"), number);
		Show ("dispatch", dispatch_codes (managed));
		Show ("thread", use_on_thread (managed), managed.Value);
		Show ("chosen", call_slot (new Chosen (), 3));
		var dual = new Dual ();
		Show ("class interface", call_slot (dual, 8), call_slot (dual, 9), call_slot (dual, 10));
		Raises ("no dispatch", () => dispatch_codes (new Inner ()));
		IntPtr unknown = Marshal.GetIUnknownForObject (managed);
		Show ("counts", Marshal.AddRef (unknown), Marshal.Release (unknown), Marshal.GetObjectForIUnknown (unknown) == managed, hold (unknown, 1), hold (unknown, -1));
		Marshal.Release (unknown);
		Show ("kept", IsKept (true), IsKept (false));
	}
	public class Inner { }

	[MethodImpl (MethodImplOptions.NoInlining)]
	static IntPtr Keep (bool counted, List<WeakReference> references)
	{
		var o = new Managed (1);
		references.Add (new WeakReference (o));
		IntPtr unknown = Marshal.GetIUnknownForObject (o);
		if (!counted)
			Marshal.Release (unknown);
		return unknown;
	}
	static bool IsKept (bool counted)
	{
		var references = new List<WeakReference> ();
		var thread = new Thread (() => { for (int i = 0; i < 50; i++) Keep (counted, references); });
		thread.Start ();
		thread.Join ();
		GC.Collect ();
		int alive = 0;
		foreach (var reference in references)
			alive += reference.IsAlive ? 1 : 0;
		return alive > 40;
	}

	static void Functions ()
	{
		var managed = new Managed (8);
		ICounter native = (ICounter) Marshal.GetObjectForIUnknown (create (9));
		Show ("value", value_of (managed), value_of (native), value_of (null));
		Show ("pass", pass (managed) == managed, pass (native) == native, pass (null) == null);
		ICounter place;
		fetch (out place);
		Show ("out", place.Value);
		place = managed;
		Show ("ref", replace (ref place), place == managed, place == null ? 0 : place.Value);
		Show ("array", sum_all (3, new ICounter [] { managed, native, null }));
		var holder = new Holder { Before = 100, Object = managed, Plain = "text", After = 1000 };
		Show ("structure", value_in (holder));
		var results = new int [4];
		Exchange function = (ICounter input, ref ICounter both, out ICounter output) => {
			output = input == null ? null : new Managed (input.Value * 10);
			if (input != null)
				both = new Managed (both.Value * 10);
			return input;
		};
		Show ("callback", exchange (function, results), results [0], results [1], results [2], results [3]);
	}

	static void Variants ()
	{
		object [] values = { (sbyte) -1, (byte) 200, (short) -300, (ushort) 60000, -5, 5u, -6L, 6UL, 1.5f, 2.5, "text", true, false, DayOfWeek.Friday, null,
			new Managed (), new Inner (), new UnknownWrapper (new Inner ()), new BStrWrapper ("abc") };
		foreach (object value in values)
			Show ("variant", value, kind_of (value), number_in (value));
		object changed = "text";
		Show ("ref", change_variant (ref changed), changed);
		TakesVariant take = (kind, value) => {
			Show ("taken", kind, value == null ? "null" : value.GetType () + " " + (value is ICounter ? ((ICounter) value).Value : value));
			return kind;
		};
		Show ("sum", take_variant (take));
		FillsVariant fills = (int kind, ref object value) => {
			value = kind == 0 ? null : kind == 1 ? "abcde" : kind == 2 ? (object) 2.5 : (int) value + 1;
			return kind;
		};
		for (int kind = 0; kind < 4; kind++)
			Show ("filled", fill_variant (fills, kind));
		Array array = new object [] { 1, 2 };
		Show ("safe array", is_null (array), is_null_behind (ref array), array == null);
	}

	public static void Main ()
	{
		NativeObjects ();
		Classes ();
		ManagedObjects ();
		Functions ();
		Variants ();
	}
}
