// Exceptions that pass native frames: filters further out are asked before finally handlers further in run, and once.
using System;
using System.Runtime.InteropServices;

class Program
{
    delegate int Comparison(IntPtr left, IntPtr right);

    [DllImport("libc")]
    static extern void qsort(int[] values, IntPtr count, IntPtr size, Comparison comparison);

    class Special : Exception
    {
        public Special(string message) : base(message) { }
    }

    // Runs `action` in a managed frame that native code calls.
    static void Through(Action action)
    {
        qsort(new[] { 2, 1 }, (IntPtr)2, (IntPtr)sizeof(int), (left, right) => { action(); return 0; });
    }

    static bool Ask(string name, Exception exception, bool verdict)
    {
        Console.WriteLine("filter " + name + ": " + exception.Message);
        return verdict;
    }

    static void Cleaning(string name, Action action)
    {
        try { action(); }
        finally { Console.WriteLine("finally " + name); }
    }

    static void Filtering(string name, bool verdict, Action action)
    {
        try { action(); }
        catch (Exception exception) when (Ask(name, exception, verdict)) { Console.WriteLine("handler " + name + ": " + exception.Message); }
    }

    static void Throw(string message) { throw new Special(message); }

    static int Frames(Exception exception, string method)
    {
        int count = 0;
        foreach (string line in exception.StackTrace.Split('\n'))
            if (line.Contains("." + method + " ")) count++;
        return count;
    }

    static void Main()
    {
        Console.WriteLine("-- one native frame");
        Filtering("a", true, () => Cleaning("b", () => Through(() => Cleaning("c", () => Throw("1")))));

        Console.WriteLine("-- two, and filters that refuse");
        Filtering("a", true, () => Cleaning("b", () => Through(() =>
            Filtering("c", false, () => Cleaning("d", () => Through(() => Filtering("e", false, () => Cleaning("f", () => Throw("2")))))))));

        Console.WriteLine("-- caught between");
        Filtering("a", true, () => Through(() => Filtering("b", true, () => Through(() => Cleaning("c", () => Throw("3"))))));

        Console.WriteLine("-- a finally handler throws another");
        Filtering("a", true, () => Through(() =>
        {
            try { Throw("4"); }
            finally { Console.WriteLine("finally b"); Throw("5"); }
        }));

        Console.WriteLine("-- a finally handler throws and catches");
        Filtering("a", true, () => Through(() =>
        {
            try { Throw("6"); }
            finally { Filtering("b", true, () => Through(() => Throw("7"))); }
        }));

        Console.WriteLine("-- a filter calls native code that throws");
        Filtering("a", true, () => Through(() =>
        {
            try { Throw("8"); }
            catch (Exception exception) when (Refusing(exception)) { }
        }));

        Console.WriteLine("-- a filter outside collects");
        try { Through(() => Cleaning("b", () => Throw("9"))); }
        catch (Special exception) when (Collect(exception)) { Console.WriteLine("handler: " + exception.Message); }

        Console.WriteLine("-- thrown again on the way");
        Filtering("a", true, () => Through(() =>
        {
            try { Through(() => Throw("10")); }
            catch (Special) { Console.WriteLine("caught"); throw; }
        }));

        Console.WriteLine("-- the trace");
        try { Through(() => Through(() => Throw("11"))); }
        catch (Special exception)
        {
            Console.WriteLine("Through: " + Frames(exception, "Through") + ", qsort: " + Frames(exception, "qsort") + ", Throw: " + Frames(exception, "Throw"));
        }

        Console.WriteLine("-- many");
        int caught = 0;
        for (int i = 0; i < 2000; i++)
        {
            try { Through(() => { try { Throw("12"); } finally { caught++; } }); }
            catch (Special exception) when (exception.Message == "12") { caught++; }
        }
        Console.WriteLine(caught);
    }

    static bool Refusing(Exception exception)
    {
        Console.WriteLine("inner filter: " + exception.Message);
        Through(() => Cleaning("in filter", () => Throw("out of a filter")));
        return true;
    }

    static bool Collect(Exception exception)
    {
        string text = "";
        for (int i = 0; i < 1000; i++) text = new string('x', i);
        GC.Collect();
        try { Through(() => Throw("within a filter")); }
        catch (Special inner) { Console.WriteLine("filter caught: " + inner.Message); }
        return text.Length == 999 && exception.Message == "9";
    }
}
