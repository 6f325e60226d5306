// Monitors, Wait and Pulse, events, semaphores, reader-writer locks and interlocked operations.
using System;
using System.Collections.Generic;
using System.Threading;

class Channel
{
    readonly Queue<long[]> items = new Queue<long[]> ();

    public void Put (long[] item)
    {
        lock (items) {
            while (items.Count >= 8)
                Monitor.Wait (items);
            items.Enqueue (item);
            Monitor.PulseAll (items);
        }
    }

    public long[] Take (int timeout)
    {
        lock (items) {
            while (items.Count == 0)
                if (!Monitor.Wait (items, timeout))
                    timeout++;
            var item = items.Dequeue ();
            Monitor.PulseAll (items);
            return item;
        }
    }
}

static class Program
{
    static long wide;
    static int plain;
    static object slot;

    public static void Round (int round)
    {
        var channel = new Channel ();
        var gate = new object ();
        var readers = new ReaderWriterLockSlim ();
        var semaphore = new SemaphoreSlim (2);
        var turn = new AutoResetEvent (true);
        int guarded = 0, inside = 0, recursive = 0, turns = 0;
        long taken = 0, put = 0;
        plain = 0;
        wide = 0;
        const int count = 300;
        Stress.ParallelWithCollections (round, (random, number) => {
            for (int i = 0; i < count; i++) {
                if (number % 2 == 0 || number == Stress.Threads - 1 && Stress.Threads % 2 == 1) {
                    // An odd one out both gives and takes.
                    var item = new long [] { random.Next (), number };
                    Interlocked.Add (ref put, item [0]);
                    channel.Put (item);
                }
                if (number % 2 == 1 || number == Stress.Threads - 1 && Stress.Threads % 2 == 1)
                    Interlocked.Add (ref taken, channel.Take (1 + random.Next (3)) [0]);
                lock (gate)
                    lock (gate) {
                        recursive++;
                        if (random.Next (8) == 0)
                            GC.KeepAlive (new byte [random.Next (5000)]);
                    }
                // A monitor that only its thread knows, inflated by a wait, dies with its object.
                var own = new object ();
                lock (own)
                    if (random.Next (16) == 0)
                        Monitor.Wait (own, 1);
                bool entered = false;
                Monitor.TryEnter (gate, random.Next (2), ref entered);
                if (entered) {
                    guarded++;
                    guarded--;
                    Monitor.Exit (gate);
                }
                if (random.Next (4) == 0) {
                    readers.EnterWriteLock ();
                    Stress.Check (++inside == 1, "a writer is alone");
                    inside--;
                    readers.ExitWriteLock ();
                } else {
                    readers.EnterReadLock ();
                    Stress.Check (inside == 0, "readers see no writer");
                    readers.ExitReadLock ();
                }
                semaphore.Wait ();
                Stress.Check (semaphore.CurrentCount < 2, "the count of a semaphore");
                semaphore.Release ();
                if (random.Next (8) == 0) {
                    turn.WaitOne ();
                    turns++;
                    turn.Set ();
                }
                Interlocked.Increment (ref plain);
                Interlocked.Add (ref wide, 0x100000001);
                var mine = new object [] { i };
                var other = (object[]) Interlocked.Exchange (ref slot, mine);
                Stress.Check (other == null || (int) other [0] < count, "what was exchanged");
                Interlocked.CompareExchange (ref slot, null, mine);
            }
        });
        Stress.Check (guarded == 0 && recursive == count * Stress.Threads, "what a lock guards");
        Stress.Check (plain == count * Stress.Threads && wide == plain * 0x100000001L, "interlocked sums");
        Stress.Check (taken == put, "what a channel carried");
    }
}
