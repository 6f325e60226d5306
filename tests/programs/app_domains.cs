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
    public string Name(int number) { return "plain " + number; }
    public string Name<T>(int number) { return typeof(T) + " " + number + " in " + Domain; }
    public virtual T Echo<T>(T value, ref int count, out string text) { count += 5; text = Domain + typeof(T); return value; }
    public string Echo(string value) { return value; }
    public void Throw<T>() { throw new OwnException(typeof(T) + " from " + Domain); }
}

interface IGenericRemote { V Given<V>(V value); V Other<V, T>(V value, T other); }

class GenericBase<T> : MarshalByRefObject, IGenericRemote
{
    public virtual V Echo<V>(V value) { return default(V); }
    public V Given<V>(V value) { return value; }
    V IGenericRemote.Other<V, U>(V value, U other) { return value; }
    public string Name<V>(V value) { return typeof(V) + " " + typeof(T) + " " + value; }
}

class GenericRemote<T> : GenericBase<T> { public override V Echo<V>(V value) { return value; } }

class DerivedRemote : Remote
{
    public override T Echo<T>(T value, ref int count, out string text) { var result = base.Echo(value, ref count, out text); text += "!"; return result; }
}

class NotSerializable { }

class Program
{
    static int number;
    static void Generic(Remote remote)
    {
        int count = 1;
        string text;
        Console.WriteLine(remote.Name<string>(3) + ", " + remote.Name(4));
        Console.WriteLine(remote.Echo(new Value { Number = 7, Text = "seven" }, ref count, out text) + " " + count + " " + text);
        Console.WriteLine(remote.Echo(2.5, ref count, out text) + " " + count + " " + text);
        Console.WriteLine(remote.Echo(new Remote(), ref count, out text).Domain + " " + text);
        try { remote.Throw<int>(); } catch (OwnException exception) { Console.WriteLine(exception.Message + " " + (exception.StackTrace.IndexOf("Throw") >= 0)); }
        try { remote.Echo(new NotSerializable(), ref count, out text); } catch (System.Runtime.Serialization.SerializationException) { Console.WriteLine("not serializable"); }
    }

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
        Generic(remote);
        Generic((Remote)domain.CreateInstanceAndUnwrap(typeof(Remote).Assembly.FullName, "DerivedRemote"));
        OfGenericClass<object>(domain);
        OfGenericClass<int>(domain);
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

    static void OfGenericClass<T>(AppDomain domain)
    {
        var type = typeof(GenericRemote<T>);
        var remote = (GenericRemote<T>)domain.CreateInstanceAndUnwrap(type.Assembly.FullName, type.FullName);
        GenericBase<T> asBase = remote;
        IGenericRemote given = remote;
        Console.WriteLine(remote.Echo(42) + remote.Echo("a") + asBase.Echo(43L) + asBase.Given(4.5));
        Console.WriteLine(remote.Name(1) + ", " + remote.Name("x") + ", " + asBase.Name((byte)7));
        Console.WriteLine(given.Given(44) + given.Given("b") + given.Other(4.5, 1) + given.Other("q", 1));
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
