// What all programs of this folder share: each is compiled together with this file, has a class «Program» with a method «Round (int)», and checks itself with
// «Stress.Check». Arguments: rounds=N or seconds=N (how long to run), threads=N, seed=N. The last line of output is «held» if all that was checked held.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;

static class Stress
{
    public static int Threads = 4;
    public static int Seed = 1;

    static int Main (string[] arguments)
    {
        int rounds = 2, seconds = 0;
        foreach (var argument in arguments) {
            var parts = argument.Split ('=');
            int value = int.Parse (parts [1]);
            switch (parts [0]) {
            case "rounds": rounds = value; break;
            case "seconds": seconds = value; break;
            case "threads": Threads = value; break;
            case "seed": Seed = value; break;
            default: throw new ArgumentException (argument);
            }
        }
        var watch = Stopwatch.StartNew ();
        for (int round = 0; seconds > 0 ? watch.Elapsed.TotalSeconds < seconds : round < rounds; round++)
            Program.Round (round);
        Console.WriteLine ("held");
        return 0;
    }

    public static void Check (bool condition, string what)
    {
        if (!condition)
            throw new Exception ("does not hold: " + what);
    }

    // Runs the action in all threads, each with a random generator of its own; what one of them throws is thrown again here.
    public static void Parallel (int round, Action<Random, int> action)
    {
        var failures = new List<Exception> ();
        var threads = new Thread [Threads];
        for (int i = 0; i < threads.Length; i++) {
            int number = i;
            threads [i] = new Thread (() => {
                try {
                    action (new Random (Seed + round * 1000 + number), number);
                } catch (Exception exception) {
                    lock (failures)
                        failures.Add (exception);
                }
            });
            threads [i].Start ();
        }
        foreach (var thread in threads)
            thread.Join ();
        if (failures.Count > 0)
            throw new Exception ("a thread failed", failures [0]);
    }

    // Runs the action in all threads while another one collects without a pause.
    public static void ParallelWithCollections (int round, Action<Random, int> action)
    {
        bool done = false;
        int collected = 0;
        var collector = new Thread (() => {
            while (!Volatile.Read (ref done)) {
                GC.Collect (collected++ % 3 == 0 ? GC.MaxGeneration : 0);
                Thread.Sleep (1);
            }
        });
        collector.Start ();
        try {
            Parallel (round, action);
        } finally {
            Volatile.Write (ref done, true);
            collector.Join ();
        }
    }

    // Collects and runs finalisers until the condition holds; conservative stack scanning may keep a little for a while.
    public static bool CollectUntil (Func<bool> condition)
    {
        for (int i = 0; i < 20; i++) {
            GC.Collect ();
            GC.WaitForPendingFinalizers ();
            if (condition ())
                return true;
        }
        return false;
    }
}
