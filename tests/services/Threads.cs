// Threads, locks, the thread pool, tasks, sockets.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using static Services;

static class Threads
{
    [ThreadStatic] static int ofThread;

    static void Together(int threads, Action body)
    {
        var started = Enumerable.Range(0, threads).Select(_ => new Thread(() => body())).ToList();
        started.ForEach(thread => thread.Start());
        started.ForEach(thread => thread.Join());
    }

    static async Task<int> Yields(int count)
    {
        int sum = 0;
        for (int i = 0; i < count; i++) { await Task.Yield(); sum++; }
        return sum;
    }

    static async Task<int> Completed(int count)
    {
        int sum = 0;
        for (int i = 0; i < count; i++) sum += await Task.FromResult(1);
        return sum;
    }

    // One thread consumes what another produces, while `others` wait for the same.
    static void Queue(int count, int consumers)
    {
        var queue = new Queue<int>();
        int left = count;
        var threads = new List<Thread>();
        for (int i = 0; i < consumers; i++) {
            threads.Add(new Thread(() => {
                while (true) {
                    int item;
                    lock (queue) {
                        while (queue.Count == 0) Monitor.Wait(queue);
                        item = queue.Dequeue();
                    }
                    if (item < 0) return;
                    Interlocked.Decrement(ref left);
                }
            }));
            threads[i].Start();
        }
        for (int i = 0; i < count; i++) lock (queue) { queue.Enqueue(i); Monitor.Pulse(queue); }
        while (Volatile.Read(ref left) > 0) Thread.Sleep(0);
        for (int i = 0; i < consumers; i++) lock (queue) { queue.Enqueue(-1); Monitor.Pulse(queue); }
        threads.ForEach(thread => thread.Join());
    }

    static void PingPong(int count, int idle)
    {
        var end = new ManualResetEvent(false);
        var never = Enumerable.Range(0, idle).Select(_ => new AutoResetEvent(false)).ToList();
        var waiting = never.Select(one => new Thread(() => WaitHandle.WaitAny(new WaitHandle[] { end, one }))).ToList();
        waiting.ForEach(thread => thread.Start());
        var ping = new AutoResetEvent(false);
        var pong = new AutoResetEvent(false);
        var other = new Thread(() => { for (int i = 0; i < count; i++) { ping.WaitOne(); pong.Set(); } });
        other.Start();
        for (int i = 0; i < count; i++) { ping.Set(); pong.WaitOne(); }
        other.Join();
        end.Set();
        waiting.ForEach(thread => thread.Join());
    }

    static void Connected(Action<NetworkStream, NetworkStream> use)
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using (var client = new TcpClient()) {
            client.Connect((IPEndPoint)listener.LocalEndpoint);
            using (var server = listener.AcceptTcpClient())
                use(client.GetStream(), server.GetStream());
        }
        listener.Stop();
    }

    static void Echo(NetworkStream client, NetworkStream server, int count)
    {
        var answering = new Thread(() => {
            var buffer = new byte[1];
            for (int i = 0; i < count; i++) { server.Read(buffer, 0, 1); server.Write(buffer, 0, 1); }
        });
        answering.Start();
        var one = new byte[1];
        for (int i = 0; i < count; i++) { client.Write(one, 0, 1); client.Read(one, 0, 1); }
        answering.Join();
    }

    static async Task SendAndReceive(NetworkStream stream, int count, bool begins)
    {
        var one = new byte[1];
        for (int i = 0; i < count; i++) {
            if (begins) await stream.WriteAsync(one, 0, 1);
            await stream.ReadAsync(one, 0, 1);
            if (!begins) await stream.WriteAsync(one, 0, 1);
        }
    }

    public static void Run()
    {
        Measure("lock", 5000000, count => { var o = new object(); for (int i = 0; i < count; i++) lock (o) Sink++; });
        Measure("lock-of-four-threads", 400000, count => {
            var o = new object();
            Together(4, () => { for (int i = 0; i < count / 4; i++) lock (o) Sink++; });
        });
        Measure("pulse-2-waiting", 50000, count => Queue(count, 2));
        Measure("pulse-100-waiting", 50000, count => Queue(count, 100));
        Measure("event-ping-pong", 10000, count => PingPong(count, 0));
        Measure("event-ping-pong-100-idle", 10000, count => PingPong(count, 100));
        Measure("event-set-wait", 300000, count => { var e = new AutoResetEvent(false); for (int i = 0; i < count; i++) { e.Set(); e.WaitOne(); } });
        Measure("mutex-of-four-threads", 100000, count => {
            var mutex = new Mutex();
            Together(4, () => { for (int i = 0; i < count / 4; i++) { mutex.WaitOne(); Sink++; mutex.ReleaseMutex(); } });
        });
        Measure("semaphore-slim", 1000000, count => { var s = new SemaphoreSlim(1); for (int i = 0; i < count; i++) { s.Wait(); s.Release(); } });
        Measure("reader-writer-lock-slim", 1000000, count => {
            var l = new ReaderWriterLockSlim();
            for (int i = 0; i < count; i++) { l.EnterReadLock(); l.ExitReadLock(); }
        });
        Measure("blocking-collection", 100000, count => {
            var items = new BlockingCollection<int>(100);
            var consumer = Task.Run(() => { foreach (var item in items.GetConsumingEnumerable()) Sink += item; });
            for (int i = 0; i < count; i++) items.Add(i);
            items.CompleteAdding();
            consumer.Wait();
        });
        Measure("interlocked", 5000000, count => { for (int i = 0; i < count; i++) Interlocked.Increment(ref Sink); });
        Measure("thread-static", 5000000, count => { for (int i = 0; i < count; i++) ofThread++; });
        Measure("thread-local", 2000000, count => { var local = new ThreadLocal<int>(); for (int i = 0; i < count; i++) local.Value++; });
        Measure("thread-start-join", 2000, count => { for (int i = 0; i < count; i++) Together(1, () => Sink++); });
        Measure("thread-pool", 200000, count => {
            int left = count;
            var done = new ManualResetEvent(false);
            for (int i = 0; i < count; i++) ThreadPool.QueueUserWorkItem(_ => { if (Interlocked.Decrement(ref left) == 0) done.Set(); });
            done.WaitOne();
        });
        Measure("task-run", 200000, count => Task.WaitAll(Enumerable.Range(0, count).Select(_ => Task.Run(() => { })).ToArray()));
        Measure("task-run-wait", 20000, count => { for (int i = 0; i < count; i++) Task.Run(() => { }).Wait(); });
        Measure("await-yield", 100000, count => Sink += Yields(count).Result);
        Measure("await-completed", 2000000, count => Sink += Completed(count).Result);
        Measure("parallel-for", 1000000, count => Parallel.For(0, count, _ => { }));
        Measure("begin-end-invoke", 20000, count => { Func<int, int> f = x => x + 1; for (int i = 0; i < count; i++) Sink += f.EndInvoke(f.BeginInvoke(i, null, null)); });
        Measure("timer", 500, count => {
            var fired = new AutoResetEvent(false);
            for (int i = 0; i < count; i++) using (new Timer(_ => fired.Set(), null, 0, Timeout.Infinite)) fired.WaitOne();
        });
        Measure("sleep-1-ms", 200, count => { for (int i = 0; i < count; i++) Thread.Sleep(1); });
        Measure("socket-echo", 5000, count => Connected((client, server) => Echo(client, server, count)));
        Measure("socket-echo-async", 3000, count => Connected((client, server) => Task.WaitAll(SendAndReceive(server, count, false), SendAndReceive(client, count, true))));
    }
}
