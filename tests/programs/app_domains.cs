// Application domains: statics of their own, objects by value and by reference, exceptions, data, unloading.
using System;
using System.Threading;

[Serializable]
class Value { public int Number; public string Text; public override string ToString() { return Number + " " + Text; } }

[Serializable]
class OwnException : Exception
{
    public OwnException(string message) : base(message) { }
    protected OwnException(System.Runtime.Serialization.SerializationInfo info, System.Runtime.Serialization.StreamingContext context)
        : base(info, context) { }
}

class Remote : MarshalByRefObject
{
    public static int Count;
    [ThreadStatic] static int perThread;
    public int Increment() { perThread++; return ++Count + perThread; }
    public string Domain { get { return AppDomain.CurrentDomain.FriendlyName; } }
    public Value Change(Value value) { value.Number++; return value; }
    public void Throw() { throw new OwnException("from " + Domain); }
    public int CallBack(Remote other) { return other.Increment(); }
    public void Wait() { Thread.Sleep(Timeout.Infinite); }
}

class NotSerializable { }

class Program
{
    static int number;
    static void Main()
    {
        var domain = AppDomain.CreateDomain("second");
        Console.WriteLine(domain.FriendlyName + " " + (domain.GetType() == typeof(AppDomain)) + " " + domain.IsDefaultAppDomain());
        var remote = (Remote)domain.CreateInstanceAndUnwrap(typeof(Remote).Assembly.FullName, "Remote");
        Console.WriteLine(remote.Domain + " " + remote.Increment() + " " + remote.Increment() + " " + Remote.Count);
        var value = new Value { Number = 1, Text = "one" };
        Console.WriteLine(remote.Change(value) + " " + value);
        try { remote.Throw(); } catch (OwnException exception) { Console.WriteLine(exception.Message); }
        Console.WriteLine(remote.CallBack(new Remote()) + " " + Remote.Count);
        number = 4;
        domain.SetData("answer", 42);
        domain.DoCallBack(InDomain);
        Console.WriteLine(number + " " + domain.GetData("back"));
        try { domain.SetData("x", new NotSerializable()); } catch (System.Runtime.Serialization.SerializationException) { Console.WriteLine("not serializable"); }
        var finished = new ManualResetEvent(false);
        var thread = new Thread(() => {
            try { remote.Wait(); } catch (AppDomainUnloadedException) { Console.WriteLine("thread left"); }
            finished.Set();
        });
        thread.Start();
        while ((thread.ThreadState & ThreadState.WaitSleepJoin) == 0) Thread.Sleep(1);
        AppDomain.Unload(domain);
        finished.WaitOne();
        try { remote.Increment(); } catch (AppDomainUnloadedException) { Console.WriteLine("unloaded"); }
        try { AppDomain.Unload(AppDomain.CurrentDomain); } catch (CannotUnloadAppDomainException) { Console.WriteLine("cannot unload"); }
    }

    static void InDomain()
    {
        number += 10;
        var current = AppDomain.CurrentDomain;
        Console.WriteLine(current.FriendlyName + " " + number + " " + current.GetData("answer") + " " + Remote.Count);
        current.SetData("back", "data");
        current.DomainUnload += (sender, arguments) => Console.WriteLine("unloading " + number);
    }
}
