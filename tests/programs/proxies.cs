// Transparent proxies within a domain: all kinds of calls and fields, casts, generic methods, delegates.
using System;
using System.Reflection;
using System.Runtime.Remoting;
using System.Runtime.Remoting.Messaging;
using System.Runtime.Remoting.Proxies;

struct Pair { public int A; public string B; }

interface IGreet { string Greet(string name); }
interface IOther { int Twice(int value); }

class Server : MarshalByRefObject, IGreet
{
    public int Field = 1;
    public string Text { get; set; }
    public virtual int Virtual(int a, double b, ref int c, out string d) { d = "out"; c += a; return (int)b; }
    public Pair Structure(Pair pair) { pair.A++; return pair; }
    public string Greet(string name) { return "hello " + name; }
    public string Generic<T>(T value) { return typeof(T).Name + " " + value; }
    public static int Static() { return 3; }
}

interface IAny { V Any<V>(V value); }

class Any<T> : MarshalByRefObject, IAny
{
    public virtual V Virtual<V>(V value, T other) { return value; }
    public V Direct<V>(V value) { return value; }
    V IAny.Any<V>(V value) { return value; }
    public T Own(T value) { return value; }
    public V[] Both<V>(T[] values, ref V value) { var old = value; value = default(V); return new[] { old }; }
}

class Derived<T> : Any<T>
{
    public override V Virtual<V>(V value, T other) { return value; }
}

class Values : MarshalByRefObject
{
    public int Number() { return 1; }
    public int? Nullable() { return 1; }
    public string Text() { return "text"; }
    public virtual DateTime Time() { return DateTime.Now; }
}

// Gives null, whatever is called.
class Nothing : RealProxy
{
    public Nothing(Type type) : base(type) { }
    public override IMessage Invoke(IMessage message) { return new ReturnMessage(null, null, 0, null, (IMethodCallMessage)message); }
}

// Says what is called, or nothing.
class Executor : RealProxy
{
    readonly MarshalByRefObject target;
    readonly bool speaks;
    public Executor(MarshalByRefObject target, bool speaks) : base(target.GetType()) { this.target = target; this.speaks = speaks; }
    public override IMessage Invoke(IMessage message)
    {
        var call = (IMethodCallMessage)message;
        if (speaks) Console.WriteLine("call " + call.MethodBase.DeclaringType + " " + call.MethodBase + " " + call.Args[0]);
        return RemotingServices.ExecuteMessage(target, call);
    }
}

class Forwarder : RealProxy, IRemotingTypeInfo
{
    readonly MarshalByRefObject target;
    public Forwarder(Type type, MarshalByRefObject target) : base(type) { this.target = target; }
    public string TypeName { get { return "Server"; } set { } }
    public bool CanCastTo(Type type, object proxy) { Console.WriteLine("can cast to " + type.Name); return type == typeof(IOther); }
    public override IMessage Invoke(IMessage message)
    {
        var call = (IMethodCallMessage)message;
        Console.WriteLine("call " + call.MethodName + " (" + call.ArgCount + ")");
        if (call.MethodName == "Twice") return new ReturnMessage(2 * (int)call.Args[0], null, 0, null, call);
        if (call.MethodName == "ToString") return new ReturnMessage("a proxy", null, 0, null, call);
        return RemotingServices.ExecuteMessage(target, call);
    }
}

class Program
{
    // Methods of generic classes, generic themselves or not.
    static void Generic<T>(T one)
    {
        var quiet = (Any<T>)new Executor(new Derived<T>(), false).GetTransparentProxy();
        int number = 4;
        string text = "t";
        Console.WriteLine(quiet.Direct(2) + " " + quiet.Direct(2.5) + " " + quiet.Direct("o") + " " + quiet.Direct(DayOfWeek.Friday));
        Console.WriteLine(quiet.Both(new[] { one }, ref number)[0] + " " + number + " " + quiet.Both(new[] { one }, ref text)[0] + " " + (text == null));
        var loud = (Any<T>)new Executor(new Derived<T>(), true).GetTransparentProxy();
        Console.WriteLine(loud.Virtual(1, one) + " " + loud.Virtual("s", one) + " " + loud.Own(one));
        Console.WriteLine(((IAny)loud).Any(3) + " " + ((IAny)loud).Any("i"));
    }

    static void Try(Func<object> action)
    {
        try { Console.WriteLine(action() ?? "null"); } catch (NullReferenceException) { Console.WriteLine("no value"); }
    }

    static void Main()
    {
        var server = new Server();
        var proxy = (Server)new Forwarder(typeof(Server), server).GetTransparentProxy();
        Console.WriteLine(RemotingServices.IsTransparentProxy(proxy) + " " + RemotingServices.IsTransparentProxy(server));
        Console.WriteLine(proxy.GetType() + " " + (proxy is Server) + " " + proxy);
        int c = 5;
        string d;
        Console.WriteLine(proxy.Virtual(2, 8.5, ref c, out d) + " " + c + " " + d);
        var pair = proxy.Structure(new Pair { A = 1, B = "b" });
        Console.WriteLine(pair.A + " " + pair.B);
        proxy.Text = "text";
        Console.WriteLine(proxy.Text + " " + server.Text);
        Console.WriteLine(((IGreet)proxy).Greet("you"));
        Console.WriteLine(proxy.Generic(7) + ", " + proxy.Generic("seven"));
        proxy.Field = 9;
        Console.WriteLine(proxy.Field + " " + server.Field + " " + Server.Static());
        Func<string, string> greet = proxy.Greet;
        Console.WriteLine(greet("delegate"));
        Console.WriteLine(typeof(Server).GetMethod("Greet").Invoke(proxy, new object[] { "reflection" }));
        Console.WriteLine(((IOther)(object)proxy).Twice(21) + " " + ((object)proxy is IOther) + " " + ((object)proxy is IDisposable));
        try { Console.WriteLine((IDisposable)(object)proxy); } catch (InvalidCastException) { Console.WriteLine("no cast"); }
        var result = greet.BeginInvoke("begin", null, null);
        Console.WriteLine(greet.EndInvoke(result));
        Generic("x");
        Generic(5);
        Generic(new[] { 1 });
        var values = (Values)new Nothing(typeof(Values)).GetTransparentProxy();
        Try(() => values.Number());
        Try(() => values.Nullable());
        Try(() => values.Text());
        Try(() => values.Time());
        Try(() => values.GetHashCode());
    }
}
