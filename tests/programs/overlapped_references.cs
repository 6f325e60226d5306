// References that share their bytes with numbers or with other references.
using System;
using System.Runtime.InteropServices;

[StructLayout (LayoutKind.Explicit)] struct Wrapper {
    [FieldOffset (0)] public object Object;
    [FieldOffset (0)] public IntPtr Address;
}
[StructLayout (LayoutKind.Explicit)] struct Mixed {
    [FieldOffset (0)] public object Object;
    [FieldOffset (0)] public ushort Low;
    [FieldOffset (8)] public double Double;
    [FieldOffset (8)] public long Bits;
    [FieldOffset (16)] public string Text;
    [FieldOffset (16)] public IComparable Comparable;
}
[StructLayout (LayoutKind.Explicit)] class Box {
    [FieldOffset (0)] public string Text;
    [FieldOffset (0)] public IntPtr Number;
    [FieldOffset (8)] public object Other;
}
[StructLayout (LayoutKind.Explicit)] struct Nested {
    [FieldOffset (0)] public Wrapper Inner;
    [FieldOffset (0)] public byte Byte;
}
[StructLayout (LayoutKind.Explicit)] struct Misaligned {
    [FieldOffset (0)] public byte Byte;
    [FieldOffset (2)] public object Object;
}
[StructLayout (LayoutKind.Explicit)] struct Generic<T> {
    [FieldOffset (0)] public T Value;
}

static class Program {
    static Wrapper still;

    static IntPtr AddressOf (object target) { var wrapper = new Wrapper (); wrapper.Object = target; return wrapper.Address; }
    static object ObjectAt (IntPtr address) { var wrapper = new Wrapper (); wrapper.Address = address; return wrapper.Object; }
    static Mixed Next (Mixed value) { value.Low++; value.Double *= 2; return value; }
    static object Open (Wrapper wrapper) { return wrapper.Object; }

    static void OnStack () {
        object target = "target";
        var handle = GCHandle.Alloc (target, GCHandleType.Pinned);
        Console.WriteLine (ObjectAt (AddressOf (target)));
        Console.WriteLine (AddressOf (null));
        Console.WriteLine (AddressOf (target) == AddressOf (handle.Target));
        handle.Free ();
        var mixed = new Mixed { Low = 41, Double = 1, Text = "text" };
        mixed = Next (mixed);
        Console.WriteLine ("{0} {1:x} {2} {3}", mixed.Low, mixed.Bits, mixed.Text, mixed.Comparable.CompareTo ("text"));
    }

    static void InHeap () {
        object boxed = new Mixed { Object = "object" + still, Text = "text" + still };
        var all = new Mixed [100];
        for (int i = 0; i < all.Length; i++) {
            if (i % 2 == 0)
                all [i].Object = i.ToString ();
            all [i].Comparable = "t" + i;
        }
        var box = new Box { Number = AddressOf (null), Other = "other" + all.Length };
        var full = new Box { Text = "own" + all.Length, Other = "other" + all.Length };
        still.Object = "still" + all.Length;
        Wrapper[] wrappers = { new Wrapper { Object = "in an array" + all.Length }, new Wrapper () };
        object nested = new Nested { Inner = wrappers [0] };
        for (int i = 0; i < 3; i++) {
            GC.Collect ();
            var junk = new object [1000];
            for (int j = 0; j < junk.Length; j++)
                junk [j] = new byte [100];
        }
        Console.WriteLine (((Mixed) boxed).Text + ((Mixed) boxed).Object);
        for (int i = 0; i < 100; i += 33)
            Console.WriteLine ("{0} {1}", all [i].Text, all [i].Object);
        Console.WriteLine ("{0} {1} {2} {3}", box.Number, box.Other, full.Text, full.Other);
        Console.WriteLine ("{0} {1} {2}", still.Object, wrappers [1].Address, ((Nested) nested).Inner.Object);
        Console.WriteLine (Open (wrappers [0]));
    }

    static void Misaligned () { Console.WriteLine (new Misaligned ()); }
    static void Generic () { Console.WriteLine (new Generic<string> ()); }

    static void Main () {
        OnStack ();
        InHeap ();
        try { Misaligned (); } catch (TypeLoadException e) { Console.WriteLine (e.Message); }
        try { Generic (); } catch (TypeLoadException) { Console.WriteLine ("generic"); }
    }
}
