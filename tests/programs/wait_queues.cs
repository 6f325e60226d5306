// Many threads that wait for few objects: what one object gives, one thread gets, and nobody waits for ever.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;

class Program
{
    static List<Thread> Start(int count, Action<int> body)
    {
        var threads = Enumerable.Range(0, count).Select(number => new Thread(() => body(number))).ToList();
        threads.ForEach(thread => thread.Start());
        return threads;
    }

    static void Join(List<Thread> threads) { threads.ForEach(thread => thread.Join()); }

    static void WaitForBlocked(List<Thread> threads)
    {
        while (threads.Any(thread => (thread.ThreadState & ThreadState.WaitSleepJoin) == 0))
            Thread.Sleep(1);
    }

    static void Semaphores()
    {
        var one = new Semaphore(0, 1000);
        var two = new Semaphore(0, 1000);
        int firsts = 0, seconds = 0;
        var takers = Start(8, number => {
            for (int i = 0; i < 100; i++)
                if (WaitHandle.WaitAny(new WaitHandle[] { one, two }) == 0) Interlocked.Increment(ref firsts); else Interlocked.Increment(ref seconds);
        });
        var givers = Start(4, number => { for (int i = 0; i < 50; i++) { one.Release(1 + i % 2); two.Release(2 - i % 2); } });
        Join(givers);
        for (int left = 800 - 600; left > 0; left -= 20) one.Release(20);
        Join(takers);
        Console.WriteLine("semaphores " + (firsts + seconds) + " " + (firsts >= 500 && seconds <= 300) + " " + one.WaitOne(0) + " " + two.WaitOne(0));
    }

    static void OneAtATime()
    {
        var ticket = new AutoResetEvent(false);
        int taken = 0;
        var threads = Start(10, number => { ticket.WaitOne(); Interlocked.Increment(ref taken); });
        for (int i = 1; i <= 10; i++) {
            ticket.Set();
            while (Volatile.Read(ref taken) < i) Thread.Sleep(1);
            if (taken != i) Console.WriteLine("one event gave " + taken);
        }
        Join(threads);
        Console.WriteLine("events " + taken + " " + ticket.WaitOne(0));
    }

    static void Everybody()
    {
        var gate = new ManualResetEvent(false);
        int through = 0;
        var threads = Start(20, number => { gate.WaitOne(); Interlocked.Increment(ref through); });
        WaitForBlocked(threads);
        Console.WriteLine("before " + through);
        gate.Set();
        Join(threads);
        Console.WriteLine("after " + through + " " + gate.WaitOne(0) + " " + gate.Reset() + " " + gate.WaitOne(0));
    }

    static void All()
    {
        var left = new AutoResetEvent(false);
        var right = new AutoResetEvent(false);
        int both = 0;
        var threads = Start(3, number => { WaitHandle.WaitAll(new WaitHandle[] { left, right }); Interlocked.Increment(ref both); });
        WaitForBlocked(threads);
        left.Set();
        Thread.Sleep(20);
        Console.WriteLine("one of two " + both + " " + left.WaitOne(0));
        for (int i = 1; i <= 3; i++) {
            right.Set(); left.Set();
            while (Volatile.Read(ref both) < i) Thread.Sleep(1);
        }
        Join(threads);
        Console.WriteLine("both " + both + " " + left.WaitOne(0) + " " + right.WaitOne(0));
    }

    static void Mutexes()
    {
        var mutex = new Mutex();
        int counter = 0;
        Join(Start(6, number => {
            for (int i = 0; i < 200; i++) {
                mutex.WaitOne();
                if (i % 3 == 0) { mutex.WaitOne(); counter++; mutex.ReleaseMutex(); } else counter++;
                mutex.ReleaseMutex();
            }
        }));
        Console.WriteLine("mutex " + counter);
        mutex.WaitOne();
        int abandoned = 0, got = 0;
        var waiting = Start(3, number => {
            try { mutex.WaitOne(); }
            catch (AbandonedMutexException) { Interlocked.Increment(ref abandoned); }
            got++;
            if (number == 1) return;
            mutex.ReleaseMutex();
        });
        WaitForBlocked(waiting);
        mutex.ReleaseMutex();
        Join(waiting);
        try { mutex.WaitOne(); } catch (AbandonedMutexException) { abandoned++; }
        Console.WriteLine("abandoned " + abandoned + " got " + got);
    }

    // Those that give up take nothing with them.
    static void GivingUp()
    {
        var item = new AutoResetEvent(false);
        int timedOut = 0, interrupted = 0, served = 0;
        var impatient = Start(5, number => { if (!item.WaitOne(30)) Interlocked.Increment(ref timedOut); });
        var disturbed = Start(5, number => { try { item.WaitOne(); } catch (ThreadInterruptedException) { Interlocked.Increment(ref interrupted); } });
        WaitForBlocked(disturbed);
        disturbed.ForEach(thread => thread.Interrupt());
        Join(impatient);
        Join(disturbed);
        var patient = Start(2, number => { item.WaitOne(); Interlocked.Increment(ref served); });
        while (Volatile.Read(ref served) < 2) { item.Set(); Thread.Sleep(1); }
        Join(patient);
        Console.WriteLine("timed out " + timedOut + " interrupted " + interrupted + " served " + served);
    }

    static void PingPong()
    {
        var ping = new AutoResetEvent(false);
        var pong = new AutoResetEvent(false);
        int rounds = 0;
        var idle = Start(20, number => { try { Thread.Sleep(Timeout.Infinite); } catch (ThreadInterruptedException) { } });
        var other = Start(1, number => { for (int i = 0; i < 1000; i++) { ping.WaitOne(); rounds++; pong.Set(); } });
        for (int i = 0; i < 1000; i++) WaitHandle.SignalAndWait(ping, pong);
        Join(other);
        WaitForBlocked(idle);
        idle.ForEach(thread => thread.Interrupt());
        Join(idle);
        Console.WriteLine("rounds " + rounds);
    }

    static void Main()
    {
        Semaphores();
        OneAtATime();
        Everybody();
        All();
        Mutexes();
        GivingUp();
        PingPong();
    }
}
