// The performance counters that programs keep themselves: those of System.Web.
using System;
using System.Diagnostics;

class Program
{
    static void Try(string what, Func<object> action)
    {
        try { Console.WriteLine(what + ": " + action()); }
        catch (Exception exception) { Console.WriteLine(what + ": " + exception.GetType().Name); }
    }

    static void Main()
    {
        foreach (var name in new[] { "Requests Queued", "Requests Total", "nothing" })
        {
            Try(name, () => PerformanceCounterCategory.CounterExists(name, "ASP.NET") + " " + new PerformanceCounter("ASP.NET", name).CounterType);
            Try("set", () =>
            {
                var counter = new PerformanceCounter("ASP.NET", name, "", false);
                counter.RawValue = 5;
                counter.Increment();
                counter.IncrementBy(10);
                return counter.RawValue + " " + counter.NextValue();
            });
            Try("read", () => new PerformanceCounter("ASP.NET", name, "", true).RawValue);
            Try("read only", () => new PerformanceCounter("ASP.NET", name, "", true).Increment());
        }
        Try("category", () => PerformanceCounterCategory.Exists("ASP.NET") + " " + PerformanceCounterCategory.Exists("nothing"));
        Try("no category", () => new PerformanceCounter("nothing", "nothing", "", false).Increment());
    }
}
