// Apartments, the states of threads that began or ended, and waits for several handles at once.
using System;
using System.Threading;

class Program
{
    static void Try(string what, Action action)
    {
        try { action(); Console.WriteLine(what + ": ok"); }
        catch (Exception exception) { Console.WriteLine(what + ": " + exception.GetType().Name + ": " + exception.Message); }
    }

    static void Apartments()
    {
        Console.WriteLine("main " + Thread.CurrentThread.GetApartmentState());
        var started = new ManualResetEvent(false);
        var thread = new Thread(() => {
            started.WaitOne();
            Console.WriteLine("in " + Thread.CurrentThread.GetApartmentState());
            Try("set", () => Thread.CurrentThread.SetApartmentState(ApartmentState.STA));
        });
        Console.WriteLine("new " + thread.GetApartmentState());
        thread.Start();
        Console.WriteLine("started " + thread.GetApartmentState());
        started.Set();
        thread.Join();
        var single = new Thread(() => Console.WriteLine("in " + Thread.CurrentThread.GetApartmentState()));
        single.SetApartmentState(ApartmentState.STA);
        Console.WriteLine("again " + single.TrySetApartmentState(ApartmentState.MTA));
        single.Start();
        single.Join();
        var done = new ManualResetEvent(false);
        ThreadPool.QueueUserWorkItem(_ => { Console.WriteLine("pool " + Thread.CurrentThread.GetApartmentState()); done.Set(); });
        done.WaitOne();
    }

    static void Ended()
    {
        var thread = new Thread(() => { }) { IsBackground = true };
        Console.WriteLine(thread.ThreadState);
        thread.Start();
        thread.Join();
        Console.WriteLine(thread.ThreadState);
        Try("background", () => Console.WriteLine(thread.IsBackground));
        Try("start", () => thread.Start());
        Try("resume", () => thread.Resume());
        Try("suspend", () => thread.Suspend());
        Try("apartment", () => thread.GetApartmentState());
        Try("abort", () => thread.Abort());
        Try("interrupt", () => thread.Interrupt());
        Try("join", () => thread.Join());
        var running = new ManualResetEvent(false);
        var twice = new Thread(() => running.WaitOne());
        twice.Start();
        Try("start twice", () => twice.Start());
        running.Set();
        twice.Join();
        var aborted = new Thread(() => Console.WriteLine("never"));
        aborted.Abort();
        Console.WriteLine(aborted.ThreadState);
        aborted.Start();
        Try("join aborted", () => aborted.Join());
        Try("join new", () => new Thread(() => { }).Join());
    }

    static void Pool()
    {
        int workers, ports, most;
        ThreadPool.SetMaxThreads(0x7fff, 0x7fff);
        ThreadPool.GetMaxThreads(out most, out ports);
        Console.WriteLine(most);
        ThreadPool.SetMaxThreads(0x8000, 0x8000);
        ThreadPool.GetMaxThreads(out most, out ports);
        Console.WriteLine(most);
        ThreadPool.GetAvailableThreads(out workers, out ports);
        Console.WriteLine(workers > 0 && workers <= most);
        // Each piece of work may give its thread a name, which ends with it.
        for (var round = 0; round < 3; round++) {
            var done = new ManualResetEvent(false);
            ThreadPool.QueueUserWorkItem(_ => {
                Console.WriteLine(Thread.CurrentThread.Name);
                Try("name", () => Thread.CurrentThread.Name = "mine");
                Try("name again", () => Thread.CurrentThread.Name = "other");
                Console.WriteLine(Thread.CurrentThread.Name + " " + Thread.CurrentThread.IsBackground);
                done.Set();
            });
            done.WaitOne();
            Thread.Sleep(20);
        }
    }

    static void Waits()
    {
        var set = new ManualResetEvent(true);
        Try("all of one twice", () => WaitHandle.WaitAll(new WaitHandle[] { set, set }));
        Console.WriteLine(WaitHandle.WaitAny(new WaitHandle[] { set, set }));
        Try("all of none", () => WaitHandle.WaitAll(new WaitHandle[0]));
        AutoResetEvent first = new AutoResetEvent(true), second = new AutoResetEvent(true);
        Console.WriteLine(WaitHandle.WaitAny(new WaitHandle[] { first, second }));
        Console.WriteLine(first.WaitOne(0) + " " + second.WaitOne(0));
        foreach (var isFirstHeld in new[] { true, false }) {
            Mutex held = new Mutex(), left = new Mutex();
            ManualResetEvent ready = new ManualResetEvent(false), finish = new ManualResetEvent(false);
            var leaver = new Thread(() => left.WaitOne());
            leaver.Start();
            leaver.Join();
            var holder = new Thread(() => {
                if (isFirstHeld) held.WaitOne();
                ready.Set();
                finish.WaitOne();
                if (isFirstHeld) held.ReleaseMutex();
            });
            holder.Start();
            ready.WaitOne();
            try { Console.WriteLine("any " + WaitHandle.WaitAny(new WaitHandle[] { held, left })); }
            catch (AbandonedMutexException exception) { Console.WriteLine("abandoned " + exception.MutexIndex + " " + (exception.Mutex == left)); }
            finish.Set();
            holder.Join();
            Try("first", () => held.ReleaseMutex());
            // Whoever finds a mutex abandoned may release it, owned or not.
            Try("second", () => left.ReleaseMutex());
        }
    }

    [STAThread]
    static void Main()
    {
        Apartments();
        Ended();
        Pool();
        Waits();
    }
}
