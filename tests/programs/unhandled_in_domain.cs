// An exception that nobody handles in a thread of another domain: handlers of the first domain and of its own are asked, one that throws
// is reported, and nobody who waits for the thread goes on.
// exit: 1
using System;
using System.Threading;

static class Program {
    static void Main() {
        AppDomain.CurrentDomain.ProcessExit += (sender, arguments) => Console.WriteLine("exit");
        AppDomain.CurrentDomain.UnhandledException += (sender, arguments) => {
            var exception = (Exception)arguments.ExceptionObject;
            Console.WriteLine("first: {0} {1} {2}", exception.Message, arguments.IsTerminating, sender == AppDomain.CurrentDomain);
            throw new InvalidOperationException();
        };
        AppDomain.CreateDomain("other").DoCallBack(InDomain);
        Console.WriteLine("after");
    }

    static void InDomain() {
        AppDomain.CurrentDomain.UnhandledException += (sender, arguments) =>
            Console.WriteLine("{0}: {1}", AppDomain.CurrentDomain.FriendlyName, ((Exception)arguments.ExceptionObject).Message);
        var thread = new Thread(() => { throw new Exception("nobody catches this"); });
        thread.Start();
        thread.Join();
        Console.WriteLine("joined");
    }
}
