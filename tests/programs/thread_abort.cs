// compiled only: interpreted loops do not notice an abort
// Thread.Abort: of running, waiting and blocked threads, put off by finally handlers and class initialisers, raised again after catch
// handlers, called off by ResetAbort.
using System;
using System.Threading;

class Slow
{
    public static bool Finished;

    static Slow()
    {
        Program.Ready.Set();
        Thread.Sleep(100);
        Finished = true;
    }

    public static void Touch() { }
}

class Program
{
    public static readonly AutoResetEvent Ready = new AutoResetEvent(false);
    static int counter;

    // Runs `body` on a thread, aborts it when it is ready, and prints how the thread ended.
    static void Abort(string name, ThreadStart body)
    {
        var thread = new Thread(() =>
        {
            try
            {
                body();
                Console.WriteLine(name + ": not aborted");
            }
            catch (ThreadAbortException exception)
            {
                Console.WriteLine(name + ": " + exception.ExceptionState);
            }
            Console.WriteLine(name + ": this is not reached");
        });
        thread.Start();
        Ready.WaitOne();
        thread.Abort(name + " aborted");
        thread.Join();
        Console.WriteLine(name + ": " + thread.ThreadState);
    }

    static int Spin(int steps)
    {
        int sum = 0;
        for (int step = 0; step < steps; step++)
            sum += step ^ counter;
        return sum;
    }

    // Aborts threads that take and give back a lock as programs of old do, and counts how often it is lost.
    static int LostLocks(int threads)
    {
        int lost = 0;
        for (int i = 0; i < threads; i++) {
            object gate = new object();
            bool runs = false;
            var thread = new Thread(() => {
                for (Volatile.Write(ref runs, true); ; ) {
                    Monitor.Enter(gate);
                    try { counter++; } finally { Monitor.Exit(gate); }
                }
            });
            thread.Start();
            while (!Volatile.Read(ref runs)) Thread.Yield();
            Spin(100 * i);
            thread.Abort();
            thread.Join();
            if (Monitor.TryEnter(gate)) Monitor.Exit(gate); else lost++;
        }
        return lost;
    }

    static void Main()
    {
        Abort("empty loop", () => { Ready.Set(); for (;;) { } });
        Abort("loop", () => { Ready.Set(); for (;;) counter = Spin(1000); });
        Abort("loop with allocation", () => { Ready.Set(); for (;;) new object().GetHashCode(); });
        Abort("sleep", () => { Ready.Set(); Thread.Sleep(Timeout.Infinite); });
        object gate = new object();
        lock (gate)
            Abort("monitor", () => { Ready.Set(); lock (gate) { } });
        Abort("pulse", () => { lock (gate) { Ready.Set(); Monitor.Wait(gate); } });
        Abort("finally", () =>
        {
            try
            {
            }
            finally
            {
                Ready.Set();
                Thread.Sleep(50);
                counter = Spin(100000);
                Console.WriteLine("finally: done");
            }
            Console.WriteLine("finally: this is not reached");
        });
        Abort("handler after exception", () =>
        {
            try
            {
                try { throw new ArgumentException(); }
                finally { Ready.Set(); Thread.Sleep(50); Console.WriteLine("handler after exception: done"); }
            }
            catch (ArgumentException) { }
            Console.WriteLine("handler after exception: this is not reached");
        });
        Abort("initialiser", () => { Slow.Touch(); Console.WriteLine("initialiser: this is not reached"); });
        Console.WriteLine(Slow.Finished);
        Abort("nested", () =>
        {
            try
            {
                try { Ready.Set(); for (;;) { } }
                catch (ThreadAbortException) { Console.WriteLine("nested: inner"); }
            }
            catch (Exception exception) { Console.WriteLine("nested: " + exception.GetType()); }
        });

        var calledOff = new Thread(() =>
        {
            try { Ready.Set(); for (;;) { } }
            catch (ThreadAbortException)
            {
                Console.WriteLine(Thread.CurrentThread.ThreadState);
                Thread.ResetAbort();
            }
            Console.WriteLine(Thread.CurrentThread.ThreadState);
        });
        calledOff.Start();
        Ready.WaitOne();
        calledOff.Abort();
        calledOff.Join();

        var interrupted = new Thread(() =>
        {
            try { lock (gate) { Ready.Set(); Monitor.Wait(gate); } }
            catch (ThreadInterruptedException exception) { Console.WriteLine(exception.GetType()); }
        });
        interrupted.Start();
        Ready.WaitOne();
        interrupted.Interrupt();
        interrupted.Join();
        Console.WriteLine("lost locks: " + LostLocks(200));
    }
}
