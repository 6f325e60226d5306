// At the end of a process its handlers run; they may set the exit code.
// exit: 7
using System;

static class Program {
    static void Main() {
        AppDomain.CurrentDomain.ProcessExit += (sender, arguments) => {
            Console.WriteLine("exit {0} {1}", sender != null, Environment.HasShutdownStarted);
            Environment.ExitCode = 7;
        };
        Console.WriteLine("main");
    }
}
