// compiled only: minutes when it is interpreted
// The collector under load: survival, moving, weak references, finalisers.
using System;
using System.Collections.Generic;

class Link { public Link Next; public int[] Data; public Link(Link next, int size) { Next = next; Data = new int[size]; for (int i = 0; i < size; i++) Data[i] = i; } }
class Finalised { public static int Count; ~Finalised() { Count++; } }

static class Program {
    static void MakeGarbage(int count) { for (int i = 0; i < count; i++) new Finalised(); }
    static WeakReference MakeWeak() { return new WeakReference(new object()); }
    static void Main() {
        Link head = null; long bytes = 0;
        for (int i = 0; i < 20000; i++) head = new Link(head, i % 50);
        var random = new Random(1);
        var kept = new object[1000];
        while (bytes < 600L << 20) {
            int size = random.Next(200);
            kept[random.Next(kept.Length)] = random.Next(3) == 0 ? (object)new byte[size] : new Link(null, size / 4);
            bytes += size + 24;
            if (random.Next(1000) == 0) { var large = new byte[100000]; large[99999] = 1; bytes += 100000; }
        }
        int links = 0; long sum = 0;
        for (Link link = head; link != null; link = link.Next) { links++; foreach (int value in link.Data) sum += value; }
        Console.WriteLine(links + " " + sum);
        foreach (object one in kept) { var link = one as Link; if (link != null) for (int i = 0; i < link.Data.Length; i++) if (link.Data[i] != i) Console.WriteLine("damaged"); }
        var dictionary = new Dictionary<string, List<string>>();
        for (int i = 0; i < 200000; i++) { List<string> list; string key = "k" + i % 1000; if (!dictionary.TryGetValue(key, out list)) dictionary[key] = list = new List<string>(); if (list.Count > 20) list.Clear(); list.Add("v" + i); }
        int total = 0; foreach (var pair in dictionary) total += pair.Value.Count; Console.WriteLine(total);
        var hashes = new Dictionary<object, int>(); var objects = new List<object>();
        for (int i = 0; i < 1000; i++) { var key = new object(); objects.Add(key); hashes[key] = i; }
        GC.Collect(); int wrong = 0;
        for (int i = 0; i < 1000; i++) if (hashes[objects[i]] != i) wrong++;
        Console.WriteLine("wrong " + wrong);
        var weak = MakeWeak(); var strong = new WeakReference(objects); 
        MakeGarbage(1000);
        for (int i = 0; i < 3; i++) { GC.Collect(); GC.WaitForPendingFinalizers(); }
        Console.WriteLine((Finalised.Count > 900) + " " + strong.IsAlive + " " + (objects.Count == 1000));
        GC.KeepAlive(weak);
    }
}
