// A thread that ends within native code is joined like any other.
using System;
using System.Runtime.InteropServices;
using System.Threading;

class Program
{
    [DllImport("libc")]
    static extern void pthread_exit(IntPtr value);

    static void Main()
    {
        for (int i = 0; i < 3; i++)
        {
            var thread = new Thread(() => pthread_exit(IntPtr.Zero));
            thread.Start();
            Console.WriteLine(thread.Join(10000) + " " + thread.IsAlive + " " + thread.ThreadState);
            GC.Collect();
        }
    }
}
