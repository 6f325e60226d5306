// The first thread, aborted: the process ends at once, without its handlers, with the exit code that was set.
// exit: 5
using System;
using System.Threading;

static class Program {
    static void Main() {
        AppDomain.CurrentDomain.ProcessExit += (sender, arguments) => Console.WriteLine("exit");
        AppDomain.CurrentDomain.UnhandledException += (sender, arguments) => Console.WriteLine("unhandled");
        Environment.ExitCode = 5;
        new Thread(() => { Thread.Sleep(Timeout.Infinite); }).Start();
        try { Thread.CurrentThread.Abort(); }
        finally { Console.WriteLine("finally"); }
    }
}
