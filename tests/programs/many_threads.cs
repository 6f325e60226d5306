// Hundreds of threads at a time beside a heap that grows: their stacks must not take the place of the heap.
using System;
using System.Collections.Generic;
using System.Threading;

static class Program {
    const int Count = 300;

    static void Main() {
        var go = new ManualResetEvent(false);
        var sums = new int[Count];
        var threads = new List<Thread>();
        for (var i = 0; i < Count; i++) {
            var number = i;
            var thread = new Thread(() => { go.WaitOne(); sums[number] = new int[100 + number].Length; });
            thread.Start();
            threads.Add(thread);
        }
        var blocks = new List<byte[]>();
        for (var i = 0; i < 96; i++) {
            var block = new byte[1 << 20];
            for (var at = 0; at < block.Length; at += 4096) block[at] = (byte)i;
            blocks.Add(block);
        }
        go.Set();
        foreach (var thread in threads) thread.Join();
        var total = 0;
        foreach (var sum in sums) total += sum;
        foreach (var block in blocks) total += block[40960];
        Console.WriteLine(total);
    }
}
