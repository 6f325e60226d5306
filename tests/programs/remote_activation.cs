// Classes whose objects `new` makes elsewhere: activated through a channel, or well known there.
using System;
using System.Collections;
using System.Runtime.Remoting;
using System.Runtime.Remoting.Channels;
using System.Runtime.Remoting.Channels.Tcp;

public class Account : MarshalByRefObject
{
    public int Balance;
    readonly string owner;
    public Account() : this("nobody", 0) { }
    public Account(string owner, int balance) { this.owner = owner; Balance = balance; }
    public string Describe() { return owner + " has " + Balance + " in " + AppDomain.CurrentDomain.FriendlyName; }
    public void Pay(ref int amount) { Balance += amount; amount = 0; }
}

public class Derived : Account { }

public class Counter : MarshalByRefObject
{
    int count;
    public int Next() { return ++count; }
    public string Place() { return AppDomain.CurrentDomain.FriendlyName; }
}

public class Failing : MarshalByRefObject
{
    public Failing() { throw new InvalidOperationException("refused by " + AppDomain.CurrentDomain.FriendlyName); }
}

public class Server : MarshalByRefObject
{
    // The port that the system chose.
    public int Start()
    {
        var properties = new Hashtable { { "port", 0 }, { "bindTo", "127.0.0.1" } };
        var channel = new TcpServerChannel(properties, null);
        ChannelServices.RegisterChannel(channel, false);
        RemotingConfiguration.RegisterActivatedServiceType(typeof(Account));
        RemotingConfiguration.RegisterActivatedServiceType(typeof(Failing));
        RemotingConfiguration.RegisterWellKnownServiceType(typeof(Counter), "counter", WellKnownObjectMode.Singleton);
        return new Uri(channel.GetUrlsForUri("counter")[0]).Port;
    }
}

class Program
{
    static void Try(string what, Func<object> action)
    {
        try { Console.WriteLine(what + ": " + action()); }
        catch (Exception exception) { Console.WriteLine(what + ": " + exception.GetType() + " " + exception.Message); }
    }

    static T Make<T>() where T : new() { return new T(); }

    static void Show(string what, Account account)
    {
        int amount = 7;
        Try(what, () => { account.Pay(ref amount); return account.Describe() + ", left " + amount + ", proxy: " + RemotingServices.IsTransparentProxy(account); });
    }

    static Counter MakeCounter() { return new Counter(); }
    static Account MakeAccount() { return new Account("Ada", 5); }

    static void Main()
    {
        Show("before", MakeAccount());
        var domain = AppDomain.CreateDomain("server");
        var server = (Server)domain.CreateInstanceAndUnwrap(typeof(Server).Assembly.FullName, "Server");
        string url = "tcp://127.0.0.1:" + server.Start();
        ChannelServices.RegisterChannel(new TcpClientChannel(), false);
        RemotingConfiguration.RegisterActivatedClientType(typeof(Account), url);
        RemotingConfiguration.RegisterActivatedClientType(typeof(Failing), url);
        RemotingConfiguration.RegisterWellKnownClientType(typeof(Counter), url + "/counter");
        Show("new", new Account());
        Show("arguments", new Account("Eve", 3));
        Show("derived", new Derived());
        Show("generic", Make<Account>());
        Show("activator", (Account)Activator.CreateInstance(typeof(Account)));
        Show("activator with arguments", (Account)Activator.CreateInstance(typeof(Account), "Max", 4));
        Show("constructor", (Account)typeof(Account).GetConstructor(Type.EmptyTypes).Invoke(null));
        var account = new Account("Tim", 1);
        Try("field", () => account.Balance += 10);
        Try("type", () => account.GetType() + " " + (account is Account));
        Try("well known", () => MakeCounter().Next() + " " + MakeCounter().Next() + " " + MakeCounter().Place());
        Try("failing", () => new Failing());
    }
}
