// Traces show the frames of methods that are small enough to be inlined as if they had been called.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

struct Point {
	public int X, Y;
	public int[] Data;
	public int First { get { return Data [0]; } }
	public int Sum () { return First + X + Y; }
}

class Cell<T> {
	public T[] Items;
	public T At (int index) { return Items [index]; }
	public T Last { get { return At (Items.Length); } }
	public static string Where () { return Program.Names (1); }
	public static string Name<U> () { return Program.Names (1); }
}

class Base {
	public virtual int Read (int[] from) { return from.Length; }
	public int Through (int[] from) { return Read (from); }
}

class Program {
	// The methods of a trace, innermost first, and where in them it is.
	static string Methods (StackTrace trace, bool offsets) {
		var names = new List<string> ();
		foreach (StackFrame frame in trace.GetFrames ()) {
			MethodBase method = frame.GetMethod ();
			// Mono has frames of wrappers, which have no method.
			if (method == null || method.DeclaringType.Assembly != typeof (Program).Assembly)
				continue;
			string name = method.DeclaringType.Name + "." + method.Name;
			names.Add (offsets ? name + "+" + frame.GetILOffset () : name);
		}
		return string.Join (" < ", names);
	}

	[MethodImpl (MethodImplOptions.NoInlining)]
	public static string Names (int skip) { return Methods (new StackTrace (skip), false); }

	[MethodImpl (MethodImplOptions.NoInlining)]
	static void Try (string title, Action action) {
		try {
			action ();
		} catch (Exception e) {
			Console.WriteLine ("{0}: {1}: {2}", title, e.GetType ().Name, Methods (new StackTrace (e), false));
			foreach (string line in e.StackTrace.Split ('\n')) {
				int end = line.IndexOf (" [0x");
				if (!line.Contains ("wrapper"))
					Console.WriteLine (end < 0 ? line : line.Substring (0, end));
			}
		}
	}

	static int Length (string text) { return text.Length; }
	static int Outer (string text) { return Length (text) + 1; }
	static int Outermost (string text) { return Outer (text) * 2; }
	static int Divide (int a, int b) { return a / b; }
	static string Cast (object value) { return (string) value; }
	static int Element (int[] array, int index) { return array [index]; }
	static string Here () { return Names (1); }
	static string There () { return Here (); }
	static string Again () { return There () + " and " + Here (); }
	static string Caller () { return new StackFrame (1).GetMethod ().Name; }
	static string Asker () { return Caller (); }
	static MethodBase Current () { return MethodBase.GetCurrentMethod (); }
	static MethodBase OfCurrent () { return Current (); }
	static Assembly Executing () { return Assembly.GetExecutingAssembly (); }
	static Assembly OfExecuting () { return Executing (); }
	static Type Named () { return Type.GetType ("Program"); }
	static void Store (object[] array, object value) { array [0] = value; }
	static void StoreIn (object[] array) { Store (array, new object ()); }
	static int Unbox (object value) { return (int) value; }
	static int Checked (int value) { return checked (value + int.MaxValue); }
	static int Use (Point point) { return point.Sum (); }
	static int Allocate (int count) { return new byte [count].Length; }

	[MethodImpl (MethodImplOptions.AggressiveInlining)]
	static int Choose (int[] array, int index) {
		if (index < 0)
			return Element (array, -index);
		if (index > 100)
			return Divide (index, array [0]);
		return Element (array, index + 1);
	}

	static int Rethrow (string text) {
		try {
			return Outer (text);
		} catch (NullReferenceException) {
			throw;
		}
	}

	static int RethrowTwice (string text) {
		try {
			try {
				return Outer (text);
			} catch (NullReferenceException) {
				throw;
			}
		} catch (Exception) {
			throw;
		}
	}

	static int ThroughFinally (string text) {
		int done = 0;
		try {
			done = Outermost (text);
		} finally {
			done += Length ("finally");
		}
		return done;
	}

	static int Filtered (string text) {
		try {
			return Outer (text);
		} catch (Exception e) when (Names (1).Length == e.StackTrace.Length) {
			return 0;
		}
	}

	static void Dispatched () {
		ExceptionDispatchInfo info = null;
		try {
			Outer (null);
		} catch (Exception e) {
			info = ExceptionDispatchInfo.Capture (e);
		}
		info.Throw ();
	}

	static int Recursive (int depth, int[] array) { return depth == 0 ? Element (array, 7) : Recursive (depth - 1, array); }

	[MethodImpl (MethodImplOptions.NoInlining)]
	static void Offsets () {
		int[] array = { 0 };
		int sum = 0;
		try {
			sum += Element (array, 0);
			sum += Element (array, 1);
		} catch (IndexOutOfRangeException e) {
			Console.WriteLine (Methods (new StackTrace (e), true));
		}
		try {
			sum += Divide (1, array [0]);
		} catch (DivideByZeroException e) {
			Console.WriteLine (Methods (new StackTrace (e), true));
		}
		Console.WriteLine (sum);
	}

	static void Main () {
		for (int round = 0; round < 2; round++) {
			Try ("null", () => Outermost (null));
			Try ("divide", () => Divide (1, round - round));
			Try ("cast", () => Cast (new object ()));
			Try ("element", () => Element (new int [2], 3));
			Try ("store", () => StoreIn (new string [1]));
			Try ("unbox", () => Unbox ("text"));
			Try ("overflow", () => Checked (1));
			Try ("point", () => Use (new Point ()));
			Try ("allocate", () => Allocate (-1));
			Try ("virtual", () => new Base ().Through (null));
			Try ("instance", () => ((Base) null).Through (null));
			Try ("choose", () => Choose (new int [1], 0));
			Try ("choose", () => Choose (new int [1], -5));
			Try ("choose", () => Choose (new int [1], 200));
			Try ("int", () => new Cell<int> { Items = new int [1] }.Last.ToString ());
			Try ("string", () => new Cell<string> { Items = new string [1] }.Last.ToString ());
			Try ("rethrow", () => Rethrow (null));
			Try ("rethrow twice", () => RethrowTwice (null));
			Try ("finally", () => ThroughFinally (null));
			Try ("filter", () => Filtered (null));
			Try ("dispatched", () => Dispatched ());
			Try ("recursive", () => Recursive (2, new int [1]));
		}
		Console.WriteLine (Again ());
		Console.WriteLine (Asker ());
		Console.WriteLine (OfCurrent ().Name);
		Console.WriteLine (OfExecuting () == typeof (Program).Assembly);
		Console.WriteLine (Named ());
		Console.WriteLine (Cell<int>.Where ());
		Console.WriteLine (Cell<string>.Where ());
		Console.WriteLine (Cell<string>.Name<int> ());
		Console.WriteLine (Cell<int>.Name<string> ());
		Offsets ();
	}
}
