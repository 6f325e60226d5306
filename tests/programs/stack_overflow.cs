// StackOverflowException can be caught, again and again, in any thread, wherever the stack ends: in a method, in an allocation, in the
// class library. (Mono itself ends the process when its allocator overflows a stack; for all else the expected text is its own.)
using System;
using System.Threading;

static class Program
{
    public static object kept;

    static int Plain(int depth) { return Plain(depth + 1) + 1; }

    static int Large(int depth)
    {
        decimal a = depth, b = a + 1, c = b * 2;
        return Large(depth + 1) + (int)(a + b + c);
    }

    static int Allocating(int depth)
    {
        kept = new object[depth & 15];
        return Allocating(depth + 1) + 1;
    }

    static int Formatting(string text) { return string.Format("{0}{1}", text, Formatting(text)).Length; }

    static int finallies;

    static int Cleaning(int depth)
    {
        try { return Cleaning(depth + 1) + 1; }
        finally { finallies++; }
    }

    static void Try(string name, Func<int> body)
    {
        try { Console.WriteLine(body()); }
        catch (StackOverflowException exception)
        {
            Console.WriteLine(name + ": " + exception.Message);
        }
        finally { Console.WriteLine("finally"); }
    }

    static void TryAll()
    {
        for (int round = 0; round < 3; round++)
            Try("plain", () => Plain(0));
        Try("large", () => Large(0));
        Try("allocating", () => Allocating(0));
        Try("formatting", () => Formatting("a"));
        Try("cleaning", () => Cleaning(0));
        Console.WriteLine(finallies > 100);
        try
        {
            try { Plain(0); }
            finally { Console.WriteLine("inner finally"); }
        }
        catch (Exception exception) { Console.WriteLine(exception.GetType() + " " + (exception is SystemException)); }
        int caught = 0;
        for (int round = 0; round < 5; round++)
        {
            try { Plain(0); }
            catch (StackOverflowException) { caught++; }
        }
        Console.WriteLine(caught);
        GC.Collect();
    }

    static void Main()
    {
        for (int round = 0; round < 2; round++)
        {
            var thread = new Thread(TryAll, 256 << 10);
            thread.Start();
            thread.Join();
        }
        Try("main", () => Plain(0));
        Try("main", () => Allocating(0));
        Console.WriteLine("end");
    }
}
