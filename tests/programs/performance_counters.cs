// Performance counters: those that programs keep themselves (of System.Web, and in categories of their own), and what the runtime measures.
using System;
using System.Diagnostics;
using System.Threading;

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
        Own();
        foreach (var name in new[] { "Total Physical Memory", "Available Physical Memory" })
            Try(name, () => new PerformanceCounter("Mono Memory", name).RawValue > 1 << 20);
        var items = new PerformanceCounter("Mono Threadpool", "Work Items Added");
        var before = items.NextValue();
        var done = new CountdownEvent(99);
        for (int index = 0; index < 99; index++)
            ThreadPool.QueueUserWorkItem(_ => done.Signal());
        done.Wait();
        Console.WriteLine(items.NextValue() - before >= 99);
        Console.WriteLine(new PerformanceCounter("Mono Threadpool", "# of Threads").NextValue() > 0);
    }

    static void Own()
    {
        var category = "saki " + Guid.NewGuid().ToString("N");
        var counters = new CounterCreationDataCollection { new CounterCreationData("one", "", PerformanceCounterType.NumberOfItems32),
            new CounterCreationData("two", "", PerformanceCounterType.NumberOfItems64) };
        PerformanceCounterCategory.Create(category, "what it is", PerformanceCounterCategoryType.MultiInstance, counters);
        Try("made", () => PerformanceCounterCategory.Exists(category));
        Try("has", () => PerformanceCounterCategory.CounterExists("two", category) + " " + PerformanceCounterCategory.CounterExists("three", category));
        using (var counter = new PerformanceCounter(category, "one", "a", false)) {
            counter.RawValue = 5;
            Console.WriteLine(counter.IncrementBy(3) + " " + counter.Increment() + " " + counter.CounterType);
            using (var again = new PerformanceCounter(category, "one", "a", true))
                Console.WriteLine(again.RawValue);
        }
        // Debian's Mono keeps such categories for ever, and for all processes.
        PerformanceCounterCategory.Delete(category);
        Try("deleted", () => PerformanceCounterCategory.Exists(category));
    }
}
