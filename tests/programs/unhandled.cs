// An exception that nobody handles: Mono's report on standard error and exit code 1; what was printed before is there.
// exit: 1
using System;

static class Program {
    static void Inner() { throw new InvalidOperationException("nobody catches this"); }
    static void Main() {
        Console.WriteLine("before");
        try { Inner(); } finally { Console.WriteLine("finally"); }
    }
}
