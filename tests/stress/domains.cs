// Application domains, made, used across their borders from several threads, and unloaded.
// grows: code, statics and method tables of unloaded domains stay in memory.
using System;
using System.Collections.Generic;
using System.Linq;

class Remote : MarshalByRefObject
{
    static int calls;
    readonly List<string> kept = new List<string> ();

    public int Call (string text, int[] numbers, Dictionary<string, long> table)
    {
        for (int i = 0; i < 50; i++)
            kept.Add (text + i);
        calls++;
        return calls * 1000000 + text.Length + numbers.Sum () + (int) table ["key"];
    }

    public void Throw (string text) { throw new InvalidOperationException (text); }
    public override object InitializeLifetimeService () { return null; }
    public string Domain () { return AppDomain.CurrentDomain.FriendlyName; }
}

static class Program
{
    public static void Round (int round)
    {
        Stress.ParallelWithCollections (round, (random, number) => {
            string name = "domain" + round + "-" + number;
            var domain = AppDomain.CreateDomain (name);
            var remote = (Remote) domain.CreateInstanceAndUnwrap (typeof (Remote).Assembly.FullName, "Remote");
            Stress.Check (remote.Domain () == name, "the name of a domain");
            for (int i = 1; i <= 30; i++) {
                string text = new string ('a', random.Next (50));
                var numbers = Enumerable.Range (0, random.Next (20)).ToArray ();
                int result = remote.Call (text, numbers, new Dictionary<string, long> { { "key", i } });
                Stress.Check (result == i * 1000000 + text.Length + numbers.Sum () + i, "a call into a domain");
                try {
                    remote.Throw (text);
                    Stress.Check (false, "an exception of a domain");
                } catch (InvalidOperationException exception) {
                    Stress.Check (exception.Message == text, "the text of an exception of a domain");
                }
            }
            AppDomain.Unload (domain);
            try {
                remote.Domain ();
                Stress.Check (false, "a domain that is unloaded");
            } catch (AppDomainUnloadedException) {
            }
        });
    }
}
