// Variable arguments of managed methods and of native functions. Mono's own code generators refuse the latter, and mix up floats.
using System;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

struct Point { public double X, Y; }
struct Pair { public int First; public sbyte Second; }
struct Mixed { public int Number; public string Text; public long Large; public override string ToString() => Number + Text + Large; }

class Shape
{
    public virtual string Name(string prefix, __arglist) => prefix + new ArgIterator(__arglist).GetRemainingCount();
}

class Circle : Shape
{
    public override string Name(string prefix, __arglist) => prefix + VariableArguments.Join(new ArgIterator(__arglist));
}

class VariableArguments
{
    [DllImport("variable_arguments")]
    static extern long describe(StringBuilder text, float scale, string kinds, __arglist);

    [DllImport("libc")]
    static extern int sprintf(StringBuilder text, string format, __arglist);

    public static string Join(ArgIterator arguments)
    {
        var text = new StringBuilder();
        while (arguments.GetRemainingCount() > 0)
            text.Append(' ').Append(TypedReference.ToObject(arguments.GetNextArg()));
        return text.ToString();
    }

    static void Show(__arglist)
    {
        var arguments = new ArgIterator(__arglist);
        Console.WriteLine("{0} arguments", arguments.GetRemainingCount());
        while (arguments.GetRemainingCount() > 0) {
            var type = Type.GetTypeFromHandle(arguments.GetNextArgType());
            var reference = arguments.GetNextArg();
            Console.WriteLine("{0}: {1} {2}", type, TypedReference.ToObject(reference), TypedReference.GetTargetType(reference) == type);
        }
        try {
            arguments.GetNextArg();
        } catch (InvalidOperationException) {
            Console.WriteLine("no more");
        }
    }

    static int Sum(int first, __arglist)
    {
        var arguments = new ArgIterator(__arglist);
        while (arguments.GetRemainingCount() > 0)
            first += __refvalue(arguments.GetNextArg(), int);
        return first;
    }

    // More fixed arguments than there are registers, a large result, and the list used in handlers only.
    static Mixed Many(long a, double b, string c, int d, Mixed e, float f, long g, __arglist)
    {
        var text = "";
        try {
            if (d > 0)
                throw new Exception();
        } catch (Exception) {
            text = Join(new ArgIterator(__arglist));
        } finally {
            text += "/" + new ArgIterator(__arglist).GetRemainingCount();
        }
        return new Mixed { Number = (int)(a + b + f), Text = c + e.Text + text, Large = g };
    }

    static string Pass(RuntimeArgumentHandle handle) => Join(new ArgIterator(handle));
    static string Forward(__arglist) => Pass(__arglist);

    static string Generic<T>(T value) => Forward(__arglist(value, new T[1], 1));

    [MethodImpl(MethodImplOptions.NoInlining)]
    static object Fresh(int number) => new string((char)('a' + number), 3);

    static string Survive(__arglist)
    {
        var arguments = new ArgIterator(__arglist);
        GC.Collect();
        for (int i = 0; i < 100000; i++)
            GC.KeepAlive(new byte[100]);
        GC.Collect();
        return Join(arguments);
    }

    static void Set(__arglist)
    {
        var arguments = new ArgIterator(__arglist);
        var reference = arguments.GetNextArg();
        __refvalue(reference, int) = 8;
        Console.WriteLine(Join(new ArgIterator(__arglist)));
    }

    static void WithType(__arglist)
    {
        var arguments = new ArgIterator(__arglist);
        Console.WriteLine(__refvalue(arguments.GetNextArg(typeof(int).TypeHandle), int));
        try {
            Console.WriteLine(__refvalue(arguments.GetNextArg(), long));
        } catch (InvalidCastException) {
            Console.WriteLine("no long");
        }
        arguments.End();
        Console.WriteLine(arguments.GetRemainingCount());
    }

    static void Managed()
    {
        Show(__arglist());
        Show(__arglist(1, 2L, 3.5f, 4.5, "s", (byte)200, (sbyte)-5, (short)-7, 'c', true, new Mixed { Number = 3, Text = "m" }, new object[2],
            DayOfWeek.Friday, IntPtr.Zero, 5m, typeof(string), (int?)6));
        Console.WriteLine(Sum(1, __arglist(2, 3, 4)) + " " + Sum(5, __arglist()));
        Shape shape = new Circle();
        Console.WriteLine(shape.Name("x", __arglist(1, "two")) + " " + new Shape().Name("y", __arglist(2.0, 'c')));
        var mixed = new Mixed { Number = 1, Text = "-", Large = 2 };
        Console.WriteLine(Many(1, 2.5, "c", 4, mixed, 1.5f, 1L << 40, __arglist(mixed, 1.25, 'q')));
        Console.WriteLine(Many(1, 2.5, "d", 0, mixed, 1.5f, 1L << 40, __arglist()));
        Console.WriteLine(Forward(__arglist(1, Forward(__arglist("in", 2)), 3)));
        Console.WriteLine(Generic("text") + Generic(new Mixed { Number = 7 }) + Generic(2.5));
        Console.WriteLine(Survive(__arglist(Fresh(0), new Mixed { Text = (string)Fresh(1) }, Fresh(2))));
        int number = 5;
        Set(__arglist(number, number));
        Console.WriteLine(number);
        WithType(__arglist(77, 78, 79));
        var method = typeof(VariableArguments).GetMethod("Sum", BindingFlags.Static | BindingFlags.NonPublic);
        Console.WriteLine("{0} {1} {2}", method, method.CallingConvention, method.Invoke(null, new object[] { 9 }));
        try {
            new ArgIterator(new RuntimeArgumentHandle());
        } catch (PlatformNotSupportedException) {
            Console.WriteLine("no list");
        }
    }

    struct Outer { public int Before; public Mixed Inner; }
    class Holder { public int Before; public Outer Outer; }

    static void References()
    {
        var holder = new Holder { Before = 1, Outer = new Outer { Before = 2, Inner = new Mixed { Number = 3, Text = "t", Large = 4 } } };
        FieldInfo outer = typeof(Holder).GetField("Outer"), inner = typeof(Outer).GetField("Inner"), large = typeof(Mixed).GetField("Large");
        var reference = TypedReference.MakeTypedReference(holder, new[] { outer, inner });
        large.SetValueDirect(reference, 5L);
        Console.WriteLine("{0} {1} {2}", holder.Before, holder.Outer.Inner, TypedReference.ToObject(reference));
        __refvalue(reference, Mixed) = new Mixed { Number = 6, Text = "u" };
        Console.WriteLine("{0} {1}", large.GetValueDirect(reference), holder.Outer.Inner);
    }

    static void Native()
    {
        var text = new StringBuilder(256);
        Console.WriteLine(sprintf(text, "%d %s %.3f %lld %c", __arglist(1, "str", 2.5, 1L << 40, (int)'x')) + ": " + text);
        Console.WriteLine(sprintf(text, "%.3f|%d|%d|%d", __arglist(2.5f, (short)-3, (byte)200, true)) + ": " + text);
        Console.WriteLine(sprintf(text, "plain", __arglist()) + ": " + text);
        Console.WriteLine(describe(text, 0.5f, "", __arglist()) + ": " + text);
        Console.WriteLine(describe(text, 1.5f, "idlids", __arglist(1, 2.5, 3L, 4, 5.5, "six")) + ": " + text);
        Console.WriteLine(describe(text, 2.5f, "dddddddddd",
            __arglist(1.0, 2.0, 3.0, 4.0, 5.0f, 6.0, 7.0, 8.0, 9.0, 10.0)) + ": " + text);
        Console.WriteLine(describe(text, 3.5f, "liliilll", __arglist(-1L, 2, 1L << 50, 4, 5, 6L, 7L, 8L)) + ": " + text);
        Console.WriteLine(describe(text, 4.5f, "pipcd",
            __arglist(new Point { X = 1, Y = 2 }, 3, new Point { X = 4, Y = 5 }, new Pair { First = 6, Second = -7 }, 8.0)) + ": " + text);
    }

    static void Main()
    {
        Managed();
        References();
        Native();
    }
}
