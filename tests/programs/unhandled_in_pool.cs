// An exception that nobody handles in the thread pool: exit code 255. What ends a domain is no error there.
// exit: 255
using System;
using System.Threading;

static class Program {
    static void Main() {
        Environment.ExitCode = 3;
        var done = new ManualResetEvent(false);
        ThreadPool.QueueUserWorkItem(_ => { try { throw new AppDomainUnloadedException(); } finally { done.Set(); } });
        done.WaitOne();
        Thread.Sleep(20);
        Console.WriteLine("before");
        ThreadPool.QueueUserWorkItem(_ => { throw new Exception("nobody catches this"); });
        Thread.Sleep(Timeout.Infinite);
    }
}
