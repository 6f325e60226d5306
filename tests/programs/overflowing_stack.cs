// Endless recursion ends the program with a message and exit code 1, not with a crash.
// exit: 1
using System;

static class Program {
    static int Down(int depth) { return Down(depth + 1) + 1; }
    static void Main() { Console.WriteLine("going down"); Console.WriteLine(Down(0)); }
}
