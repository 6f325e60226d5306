// The value of Main and Environment.Exit.
// exit: 42
using System;

static class Program {
    static int Main(string[] arguments) {
        Console.WriteLine("arguments: " + arguments.Length);
        AppDomain.CurrentDomain.ProcessExit += delegate { Console.WriteLine("process exit"); };
        if (arguments.Length == 0) Environment.Exit(42);
        return 3;
    }
}
