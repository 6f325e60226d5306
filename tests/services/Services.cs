// What services of the runtime and its class library cost. Prints a line for each: its name, a tab, nanoseconds for one operation. The first
// argument picks those whose names contain it.
using System;
using System.Diagnostics;
using System.Globalization;

static class Services
{
    // What an operation gives goes here, so that it is not left out.
    public static int Sink;
    public static object ObjectSink;

    static string chosen = "";

    // Measures `operations(count)`, which does something so many times, after a twentieth of that to warm up.
    public static void Measure(string name, int count, Action<int> operations)
    {
        if (!name.Contains(chosen))
            return;
        operations(Math.Max(1, count / 20));
        var watch = Stopwatch.StartNew();
        operations(count);
        Console.WriteLine(name + "\t" + (watch.Elapsed.TotalMilliseconds * 1e6 / count).ToString("f1", CultureInfo.InvariantCulture));
    }

    static void Main(string[] arguments)
    {
        if (arguments.Length > 0)
            chosen = arguments[0];
        Threads.Run();
        Calls.Run();
        Library.Run();
        Memory.Run();
    }
}
