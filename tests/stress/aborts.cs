// Thread.Abort and Thread.Interrupt at any time: finally blocks run whole, locks are given back, and the runtime stays sound.
using System;
using System.Collections.Generic;
using System.Threading;

static class Program
{
    static readonly object gate = new object ();
    static int begun, ended;

    static void Work (Random random)
    {
        var kept = new List<string> ();
        for (;;) {
            bool counted = false;
            try {
                lock (gate)
                    GC.KeepAlive (kept);
                try {
                } finally {
                    Interlocked.Increment (ref begun);
                    counted = true;
                }
                kept.Add (new string ('a', random.Next (50)));
                if (kept.Count > 100)
                    kept.Clear ();
                switch (random.Next (12)) {
                case 0: Thread.Sleep (1); break;
                case 1: lock (gate) Monitor.Wait (gate, 1); break;
                case 2: try { throw new InvalidOperationException (); } catch (InvalidOperationException) { } break;
                case 3: string.Format ("{0} {1}", random.Next (), kept.Count); break;
                case 4: new byte [random.Next (100000)].Clone (); break;
                }
            } finally {
                if (counted)
                    Interlocked.Increment (ref ended);
            }
        }
    }

    static void Abort (Random random)
    {
        bool caught = false;
        int seed = random.Next ();
        var ready = new ManualResetEvent (false);
        var thread = new Thread (() => {
            var own = new Random (seed);
            try {
                ready.Set ();
                Work (own);
            } catch (ThreadAbortException) {
                caught = true;
                if (own.Next (2) == 0)
                    Thread.ResetAbort ();
            }
        });
        thread.Start ();
        ready.WaitOne ();
        Thread.Sleep (random.Next (4));
        thread.Abort ();
        Stress.Check (thread.Join (60000), "an aborted thread ends");
        Stress.Check (caught, "an abort can be caught");
    }

    static void Interrupt (Random random)
    {
        bool caught = false;
        var thread = new Thread (() => {
            try {
                for (;;) {
                    GC.KeepAlive (new object [10]);
                    Thread.Sleep (50);
                }
            } catch (ThreadInterruptedException) {
                caught = true;
            }
        });
        thread.Start ();
        Thread.Sleep (random.Next (3));
        thread.Interrupt ();
        Stress.Check (thread.Join (60000), "an interrupted thread ends");
        Stress.Check (caught, "an interruption can be caught");
    }

    public static void Round (int round)
    {
        Stress.ParallelWithCollections (round, (random, number) => {
            for (int i = 0; i < 10; i++)
                if (random.Next (4) == 0)
                    Interrupt (random);
                else
                    Abort (random);
        });
        Stress.Check (begun == ended, "every finally block ran");
        Stress.Check (Monitor.TryEnter (gate, 10000), "a lock is given back");
        Monitor.Exit (gate);
    }
}
