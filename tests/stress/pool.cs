// The thread pool, tasks, asynchronous methods, timers, and asynchronous calls of delegates.
using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

static class Program
{
    static async Task<long> Sum (int depth, int number)
    {
        if (depth == 0) {
            await Task.Yield ();
            return number;
        }
        var parts = await Task.WhenAll (Sum (depth - 1, number), Sum (depth - 1, number + 1));
        if (number % 5 == 0)
            await Task.Delay (1);
        return parts [0] + parts [1];
    }

    static async Task<int> Fail (int depth)
    {
        try {
            if (depth == 0) {
                await Task.Yield ();
                throw new InvalidOperationException ("wanted");
            }
            return await Fail (depth - 1);
        } finally {
            await Task.Yield ();
        }
    }

    static long Expected (int depth, int number)
    {
        return depth == 0 ? number : Expected (depth - 1, number) + Expected (depth - 1, number + 1);
    }

    static void Queue ()
    {
        const int count = 500;
        int left = count;
        long sum = 0;
        using (var done = new ManualResetEvent (false)) {
            for (int i = 0; i < count; i++)
                ThreadPool.QueueUserWorkItem (state => {
                    var data = (int[]) state;
                    Interlocked.Add (ref sum, data [0] + data [data.Length - 1]);
                    if (Interlocked.Decrement (ref left) == 0)
                        done.Set ();
                }, Enumerable.Repeat (i, 1 + i % 50).ToArray ());
            Stress.Check (done.WaitOne (60000), "the queue of the pool empties");
        }
        Stress.Check (sum == count * (count - 1), "the sum of the pool");
    }

    static void Timers ()
    {
        int fired = 0;
        var timers = new Timer [20];
        using (var enough = new ManualResetEventSlim ()) {
            for (int i = 0; i < timers.Length; i++)
                timers [i] = new Timer (state => {
                    if (((string) state).Length == 3 && Interlocked.Increment (ref fired) == 100)
                        enough.Set ();
                }, "abc", i, 1 + i % 3);
            Stress.Check (enough.Wait (60000), "timers fire");
            foreach (var timer in timers)
                using (var gone = new ManualResetEvent (false))
                    if (timer.Dispose (gone))
                        Stress.Check (gone.WaitOne (60000), "a timer ends");
        }
    }

    public static void Round (int round)
    {
        Stress.ParallelWithCollections (round, (random, number) => {
            switch ((number + round) % 4) {
            case 0:
                Queue ();
                break;
            case 1:
                Timers ();
                break;
            case 2:
                int depth = random.Next (2, 8);
                var task = Sum (depth, number);
                Stress.Check (task.Wait (60000), "an asynchronous method ends");
                Stress.Check (task.Result == Expected (depth, number), "the result of an asynchronous method");
                try {
                    Fail (random.Next (10)).Wait ();
                    Stress.Check (false, "an asynchronous method fails");
                } catch (AggregateException exception) {
                    Stress.Check (exception.InnerException.Message == "wanted", "the exception of an asynchronous method");
                }
                break;
            default:
                Func<int[], int> count = data => data.Sum ();
                var results = Enumerable.Range (0, 20).Select (i => count.BeginInvoke (Enumerable.Range (0, i).ToArray (), null, null)).ToArray ();
                for (int i = 0; i < results.Length; i++)
                    Stress.Check (count.EndInvoke (results [i]) == i * (i - 1) / 2, "the result of an asynchronous call");
                var bag = new ConcurrentDictionary<int, string> ();
                Parallel.For (0, 300, i => bag.TryAdd (i, i.ToString ()));
                Stress.Check (bag.Count == 300 && bag.All (pair => pair.Value == pair.Key.ToString ()), "a concurrent dictionary");
                break;
            }
        });
    }
}
