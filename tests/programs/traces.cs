// Traces of exceptions: positions, wrappers of native code, and what passes through the runtime.
using System;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

class Thrower
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static int Fail(int code)
    {
        if (code > 0)
            throw new InvalidOperationException("code " + code);
        return code;
    }

    // The position is where the stack was last empty, or behind the last call.
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static int Nested(int[] numbers)
    {
        return Fail(0) + Fail(numbers.Length) + Fail(0);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Invoked() { Nested(new int[3]); }

    public Thrower(bool fails)
    {
        if (fails)
            Fail(7);
    }
}

class Program
{
    static void Show(string name, Action action)
    {
        try
        {
            action();
        }
        catch (Exception exception)
        {
            Console.WriteLine(name + ": " + exception.GetType().Name);
            for (var inner = exception; inner != null; inner = inner.InnerException)
                Print(inner.StackTrace);
        }
    }

    // Without what differs from one compilation to the next, and without this program's own lambdas.
    static void Print(string trace)
    {
        foreach (var line in trace.Split('\n'))
            if (line.Contains("Thrower") || line.Contains("wrapper"))
                Console.WriteLine(Regex.Replace(line, " in <.*", ""));
    }

    static void Main()
    {
        Show("nested", () => Thrower.Nested(new int[2]));
        Show("null", () => Thrower.Nested(null));
        Show("invoked", () => typeof(Thrower).GetMethod("Invoked").Invoke(new Thrower(false), null));
        Show("created", () => Activator.CreateInstance(typeof(Thrower), new object[] { true }));
        Show("native", () => Assembly.LoadFrom("there is no such file"));
    }
}
