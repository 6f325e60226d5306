// What other threads are doing: `Thread.Mono_GetStackTraces`.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Threading;

class P {
  static readonly ManualResetEvent done = new ManualResetEvent(false);
  static volatile bool stop;
  static int ready;
  static long count;

  [MethodImpl(MethodImplOptions.NoInlining)]
  static void Spin() { Interlocked.Increment(ref ready); while (!stop) count++; }

  [MethodImpl(MethodImplOptions.NoInlining)]
  static void Wait() { Interlocked.Increment(ref ready); done.WaitOne(); }

  [MethodImpl(MethodImplOptions.NoInlining)]
  static void Deep(int depth) { if (depth == 0) Wait(); else Deep(depth - 1); GC.KeepAlive(depth); }

  [MethodImpl(MethodImplOptions.NoInlining)]
  static Dictionary<Thread, StackTrace> Traces() {
    var method = typeof(Thread).GetMethod("Mono_GetStackTraces", BindingFlags.NonPublic | BindingFlags.Static);
    return (Dictionary<Thread, StackTrace>)method.Invoke(null, null);
  }

  static string Own(StackTrace trace) {
    var methods = trace.GetFrames().Select(frame => frame.GetMethod()).Where(method => method != null && method.DeclaringType == typeof(P));
    return string.Join(" ", methods.Select(method => method.Name));
  }

  static void Main() {
    Thread.CurrentThread.Name = "main";
    var threads = new[] { new Thread(Spin) { Name = "spinning" }, new Thread(Wait) { Name = "waiting" }, new Thread(() => Deep(3)) { Name = "deep" } };
    foreach (var thread in threads) thread.Start();
    var ended = new Thread(() => { });
    ended.Start(); ended.Join();
    var unstarted = new Thread(Spin);
    var pool = 0;
    ThreadPool.QueueUserWorkItem(_ => { pool = Thread.CurrentThread.ManagedThreadId; Deep(1); });
    while (ready < 4) Thread.Sleep(1);
    Thread.Sleep(20);
    var suspended = threads[1];
#pragma warning disable 618
    suspended.Suspend();
    var traces = Traces();
    Console.WriteLine(Own(traces[suspended]));
    suspended.Resume();
#pragma warning restore 618
    traces = Traces();
    foreach (var thread in threads) Console.WriteLine(thread.Name + ": " + Own(traces[thread]));
    Console.WriteLine("pool: " + Own(traces.Single(pair => pair.Key.ManagedThreadId == pool).Value));
    Console.WriteLine(Thread.CurrentThread.Name + ": " + Own(traces[Thread.CurrentThread]));
    Console.WriteLine(traces.ContainsKey(unstarted) + " " + traces.ContainsKey(ended));
    stop = true;
    var frames = 0;
    done.Set();
    foreach (var thread in threads) thread.Join();
    // Threads that allocate, return and end while they are looked at; Mono itself crashes at those that end.
    stop = false;
    threads = Enumerable.Range(0, 3).Select(number => new Thread(() => Busy(number))).ToArray();
    foreach (var thread in threads) thread.Start();
    for (var round = 0; round < 200; round++) foreach (var trace in Traces().Values) frames += trace.FrameCount;
    stop = true;
    foreach (var thread in threads) thread.Join();
    Console.WriteLine(frames > 1000);
  }

  static void Busy(int number) {
    var list = new List<string>();
    for (var round = 0; !stop; round++) {
      list.Add(round.ToString());
      if (list.Count == 1000) list = new List<string>();
      if (round % 1000 == 0) { var thread = new Thread(() => Fibonacci(12)); thread.Start(); thread.Join(); }
    }
  }

  static int Fibonacci(int n) { return n < 2 ? n : Fibonacci(n - 1) + Fibonacci(n - 2); }
}
