// A process that gives itself up: what it says comes on standard output, none of its handlers and finally blocks run, and SIGABRT ends it.
// exit: 134
using System;

static class Program {
    static void Main() {
        AppDomain.CurrentDomain.ProcessExit += (sender, arguments) => Console.WriteLine("exit");
        AppDomain.CurrentDomain.UnhandledException += (sender, arguments) => Console.WriteLine("unhandled");
        Console.WriteLine("before");
        try { Environment.FailFast("the message", new Exception("the reason")); }
        finally { Console.WriteLine("finally"); }
    }
}
