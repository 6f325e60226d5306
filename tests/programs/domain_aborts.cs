// Aborts of threads that cross the border of a domain.
using System;
using System.Reflection;
using System.Runtime.Remoting;
using System.Threading;

class Worker : MarshalByRefObject
{
    public void Abort(object state) { Thread.CurrentThread.Abort(state); }

    public void AbortWithThis() { Thread.CurrentThread.Abort(this); }

    public int Number() { return 123; }

    public void RunForEver()
    {
        while (true)
        {
            try { Thread.Sleep(Timeout.Infinite); }
            catch (ThreadAbortException) { Thread.ResetAbort(); }
        }
    }
}

class Program
{
    static Worker Create(AppDomain domain)
    {
        return (Worker)domain.CreateInstanceAndUnwrap(typeof(Worker).Assembly.FullName, "Worker");
    }

    static void Main()
    {
        var domain = AppDomain.CreateDomain("aborts");
        var worker = Create(domain);
        try { worker.Abort("text"); }
        catch (ThreadAbortException e)
        {
            Console.WriteLine(e.ExceptionState);
            Thread.ResetAbort();
        }
        try { worker.AbortWithThis(); }
        catch (ThreadAbortException e)
        {
            Console.WriteLine(RemotingServices.IsTransparentProxy(e.ExceptionState) + " " + ((Worker)e.ExceptionState).Number());
            Thread.ResetAbort();
        }
        var thread = new Thread(() =>
        {
            try { worker.RunForEver(); }
            catch (AppDomainUnloadedException) { Console.WriteLine("unloaded"); }
        });
        thread.Start();
        while ((thread.ThreadState & ThreadState.WaitSleepJoin) == 0)
            Thread.Yield();
        AppDomain.Unload(domain);
        thread.Join();
        // Such an exception ends a work item and no more.
        var done = new ManualResetEvent(false);
        ThreadPool.QueueUserWorkItem(_ => { try { throw new AppDomainUnloadedException(); } finally { done.Set(); } });
        done.WaitOne();
        Thread.Sleep(50);
        Console.WriteLine("end");
    }
}
