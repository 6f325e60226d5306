// Thread.Suspend and Resume, and the end of background threads with the process.
using System;
using System.Threading;

class ThreadSuspend
{
    static volatile int count;
    static volatile bool finished;

    static void Count()
    {
        while (!finished)
            count++;
    }

    // A thread that may run gets a processor in this time on a busy machine, too.
    const int Busy = 10000;

    static bool Moves(int patience)
    {
        int before = count;
        for (int tries = 0; tries < patience && count == before; tries++)
            Thread.Sleep(1);
        return count != before;
    }

    static bool waited;

    // Waits for a plain field: the loop looks at memory each time.
    static void Wait()
    {
        bool done = false;
        var waiting = new Thread(() => { while (!done) {} waited = true; });
        waiting.Start();
        Thread.Sleep(20);
        done = true;
        waiting.Join();
        Console.WriteLine("waited: " + waited);
    }

    static void InBackground(object started)
    {
        try
        {
            ((ManualResetEvent)started).Set();
            Thread.Sleep(Timeout.Infinite);
        }
        catch (ThreadAbortException)
        {
            Console.WriteLine("aborted: " + Thread.CurrentThread.ThreadState);
            Thread.ResetAbort();
        }
        finally
        {
            Console.WriteLine("finally");
        }
        Console.WriteLine("went on");
    }

    static void Main()
    {
        var counter = new Thread(Count);
        counter.Start();
        Console.WriteLine(Moves(Busy));
        counter.Suspend();
        Console.WriteLine((counter.ThreadState & (ThreadState.Suspended | ThreadState.SuspendRequested)) != 0);
        Console.WriteLine(Moves(200));
        GC.Collect();
        Console.WriteLine(Moves(200));
        counter.Resume();
        Console.WriteLine(counter.ThreadState + " " + Moves(Busy));
        try { counter.Resume(); }
        catch (ThreadStateException) { Console.WriteLine("not suspended"); }
        finished = true;
        counter.Join();
        try { counter.Suspend(); }
        catch (ThreadStateException) { Console.WriteLine("dead"); }
        Wait();

        var self = new Thread(() => { Thread.CurrentThread.Suspend(); Console.WriteLine("resumed"); });
        self.Start();
        while ((self.ThreadState & ThreadState.Suspended) == 0)
            Thread.Yield();
        Console.WriteLine("suspended");
        self.Resume();
        self.Join();

        // An abort lets a suspended thread run.
        var aborted = new Thread(() => { while (true) Thread.SpinWait(10); }) { IsBackground = true };
        aborted.Start();
        Thread.Sleep(20);
        aborted.Suspend();
        aborted.Abort();
        Console.WriteLine(aborted.Join(5000) + " " + aborted.ThreadState);

        var started = new ManualResetEvent(false);
        new Thread(InBackground) { IsBackground = true }.Start(started);
        started.WaitOne();
        Thread.Sleep(20);
        Console.WriteLine("end of Main");
    }
}
