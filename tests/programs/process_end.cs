// At the end of a process its handlers run; they may set the exit code. One that throws is the last that runs, and no more.
// exit: 7
using System;

static class Program {
    static void Main() {
        AppDomain.CurrentDomain.ProcessExit += (sender, arguments) => {
            Console.WriteLine("exit {0} {1}", sender != null, Environment.HasShutdownStarted);
            Environment.ExitCode = 7;
        };
        AppDomain.CurrentDomain.ProcessExit += (sender, arguments) => { throw new InvalidOperationException(); };
        AppDomain.CurrentDomain.ProcessExit += (sender, arguments) => Console.WriteLine("never");
        Console.WriteLine("main");
    }
}
