// Pulses reach those who still wait, in their order; who gave up waiting gets none.
using System;
using System.Collections.Generic;
using System.Threading;

static class Program {
    static readonly object gate = new object();
    static readonly List<string> log = new List<string>();

    // Returns when the thread waits.
    static Thread Waiter(string name, int timeout) {
        bool waits = false;
        var thread = new Thread(() => {
            lock (gate) {
                waits = true;
                string end = Monitor.Wait(gate, timeout) ? " was woken" : " gave up";
                log.Add(name + end);
            }
        });
        thread.Start();
        for (;;) {
            lock (gate) if (waits) return thread;
            Thread.Yield();
        }
    }

    static void Pulse() { lock (gate) Monitor.Pulse(gate); }

    static void Main() {
        var first = Waiter("first", 60000);
        var second = Waiter("second", 1);
        var third = Waiter("third", 60000);
        second.Join();
        Pulse();
        first.Join();
        Pulse();
        third.Join();
        lock (gate) Console.WriteLine(string.Join(", ", log));
        // Monitors of objects that die, with hash codes and without.
        int entered = 0;
        for (int i = 0; i < 5000; i++) {
            object one = new object(), other = new object();
            int hash = one.GetHashCode();
            lock (one) lock (other) {
                Monitor.Wait(other, 0);
                if (Monitor.IsEntered(one) && Monitor.IsEntered(other) && one.GetHashCode() == hash) entered++;
            }
            if (i % 1000 == 0) GC.Collect();
        }
        Console.WriteLine(entered);
    }
}
