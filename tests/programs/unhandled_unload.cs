// A thread of the program that ends because a domain has gone ends the process, but as no error: no handler is asked, the exit code stays.
// exit: 7
using System;
using System.Threading;

static class Program {
    static void Main() {
        AppDomain.CurrentDomain.ProcessExit += (sender, arguments) => Console.WriteLine("exit");
        AppDomain.CurrentDomain.UnhandledException += (sender, arguments) => Console.WriteLine("unhandled");
        Environment.ExitCode = 7;
        Console.WriteLine("before");
        new Thread(() => { throw new AppDomainUnloadedException(); }).Start();
        Thread.Sleep(Timeout.Infinite);
    }
}
