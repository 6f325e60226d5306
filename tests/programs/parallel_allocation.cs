// compiled only: what is tested is allocation by compiled code; interpreted it takes minutes
// Threads that allocate all the time while the collector stops them again and again: nothing may be lost or overwritten.
using System;
using System.Threading;

class Node { public Node Next; public int Number; public Node(Node next, int number) { Next = next; Number = number; } }

static class Program {
    const int Threads = 4;
    static int damaged;

    // Chains and arrays that die young, checked as soon as they are built.
    static void Work(object seed) {
        int round = (int)seed;
        for (int repeat = 0; repeat < 9000; repeat++) {
            Node chain = null;
            var rows = new int[16][];
            for (int i = 0; i < 48; i++) {
                chain = new Node(chain, round + i);
                if (i % 3 == 0) { var row = new int[i & 15]; for (int k = 0; k < row.Length; k++) row[k] = round + i; rows[i / 3] = row; }
            }
            int expected = 47;
            for (Node node = chain; node != null; node = node.Next, expected--) if (node.Number != round + expected) Interlocked.Increment(ref damaged);
            if (expected != -1) Interlocked.Increment(ref damaged);
            for (int r = 0; r < rows.Length; r++) {
                if (rows[r].Length != (3 * r & 15)) Interlocked.Increment(ref damaged);
                foreach (int value in rows[r]) if (value != round + 3 * r) Interlocked.Increment(ref damaged);
            }
            round += 7;
        }
    }

    static void Main() {
        var threads = new Thread[Threads];
        for (int i = 0; i < Threads; i++) { threads[i] = new Thread(Work); threads[i].Start(i * 100000); }
        bool running = true;
        while (running) {
            GC.Collect(0);
            running = false;
            foreach (var thread in threads) running |= thread.IsAlive;
        }
        Console.WriteLine("damaged " + damaged);
    }
}
