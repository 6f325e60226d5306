// Wait handles: what is released is taken as often, by threads that wait for one or for all of several, that give up, and that are interrupted.
using System;
using System.Threading;

static class Program
{
    static bool WaitFor (Func<bool> wait, Random random, ref int interruptions)
    {
        try {
            return wait ();
        } catch (ThreadInterruptedException) {
            Interlocked.Increment (ref interruptions);
            return false;
        }
    }

    public static void Round (int round)
    {
        const int count = 200;
        // Each thread releases as much as it takes, so nobody waits for ever.
        var semaphores = new [] { new Semaphore (0, int.MaxValue), new Semaphore (0, int.MaxValue), new Semaphore (0, int.MaxValue) };
        var mutexes = new [] { new Mutex (), new Mutex () };
        var turn = new AutoResetEvent (true);
        var threads = new Thread [Stress.Threads];
        var guarded = new int [2];
        int released = 0, taken = 0, turns = 0, turned = 0, entries = 0, interruptions = 0;
        Stress.ParallelWithCollections (round, (random, number) => {
            threads [number] = Thread.CurrentThread;
            for (int i = 0; i < count; i++) {
                int amount = 1 + random.Next (3);
                Interlocked.Add (ref released, amount);
                semaphores [random.Next (3)].Release (amount);
                while (amount > 0) {
                    int timeout = random.Next (4) == 0 ? random.Next (3) : 20;
                    if (WaitFor (() => WaitHandle.WaitAny (semaphores, timeout) != WaitHandle.WaitTimeout, random, ref interruptions)) {
                        Interlocked.Increment (ref taken);
                        amount--;
                    }
                }
                if (WaitFor (() => turn.WaitOne (random.Next (20)), random, ref interruptions)) {
                    turned++;
                    Interlocked.Increment (ref turns);
                    GC.KeepAlive (new byte [random.Next (5000)]);
                    turn.Set ();
                }
                if (random.Next (2) == 0) {
                    if (WaitFor (() => WaitHandle.WaitAll (mutexes, random.Next (20)), random, ref interruptions)) {
                        guarded [0]++;
                        guarded [1]++;
                        Interlocked.Increment (ref entries);
                        mutexes [0].ReleaseMutex ();
                        mutexes [1].ReleaseMutex ();
                    }
                } else {
                    int index = random.Next (2);
                    if (WaitFor (() => mutexes [index].WaitOne (random.Next (20)), random, ref interruptions)) {
                        int before = guarded [index];
                        if (random.Next (8) == 0)
                            Thread.Yield ();
                        Stress.Check (guarded [index] == before, "mutexes are held by one thread");
                        mutexes [index].ReleaseMutex ();
                    }
                }
                if (random.Next (16) == 0)
                    threads [random.Next (threads.Length)]?.Interrupt ();
            }
            // An interruption that came after the last wait has nobody to tell.
            WaitFor (() => { Thread.Sleep (0); return true; }, random, ref interruptions);
        });
        Stress.Check (released == taken, "as much is taken as is released");
        Stress.Check (turned == turns, "an event lets one thread through");
        Stress.Check (guarded [0] == entries && guarded [1] == entries, "all mutexes are taken at once");
        foreach (var semaphore in semaphores)
            Stress.Check (!semaphore.WaitOne (0), "nothing is left");
        Stress.Check (turn.WaitOne (0), "the turn is left");
    }
}
