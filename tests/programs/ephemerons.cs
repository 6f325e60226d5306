// ConditionalWeakTable: a key dies although its value refers to it; a value lives as long as its key, and no longer.
using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;

class Key { public int Number; public Key(int number) { Number = number; } }
class Value { public Key Key; public Key Other; public int Number; public Value(Key key, Key other, int number) { Key = key; Other = other; Number = number; } }
class Finalised { public static int Count; public static Finalised Resurrected; public int Number = 7; ~Finalised() { Count++; if (Resurrected == null) Resurrected = this; } }

static class Program {
    static readonly ConditionalWeakTable<Key, Value> Table = new ConditionalWeakTable<Key, Value>();
    static readonly ConditionalWeakTable<Finalised, Value> ByFinalised = new ConditionalWeakTable<Finalised, Value>();

    // What a method leaves in registers and on the stack must not keep anything: all is done on a thread that ends.
    static void Apart(ThreadStart action) { var thread = new Thread(action); thread.Start(); thread.Join(); }
    static void Collect() { for (int i = 0; i < 3; i++) { Apart(() => { GC.Collect(); }); GC.WaitForPendingFinalizers(); } }

    static int Alive(WeakReference[] references) { int alive = 0; foreach (var reference in references) if (reference != null && reference.IsAlive) alive++; return alive; }
    static string Most(int count, int of) { return count == 0 ? "none" : count == of ? "all" : count * 10 < of ? "few" : count * 10 > of * 9 ? "most" : "some"; }

    static void Main() {
        const int Count = 1000;
        var kept = new List<Key>();
        var keys = new WeakReference[Count]; var values = new WeakReference[Count];
        Apart(() => {
            for (int i = 0; i < Count; i++) {
                var key = new Key(i); var value = new Value(key, null, i);
                Table.Add(key, value);
                keys[i] = new WeakReference(key); values[i] = new WeakReference(value);
                if (i % 2 == 0) kept.Add(key);
            }
        });
        Collect();
        Console.WriteLine("kept keys: " + (Alive(keys) - Count / 2 < 50) + " values: " + (Alive(values) - Count / 2 < 50));
        Apart(() => {
            int right = 0;
            foreach (var key in kept) { Value value; if (Table.TryGetValue(key, out value) && value.Number == key.Number && value.Key == key) right++; }
            Console.WriteLine("found " + right);
        });

        // Young entries in the table, which is old by now: collections of young objects must treat them likewise.
        var added = new List<Key>();
        Apart(() => {
            for (int i = 0; i < 200; i++) { var key = new Key(i); added.Add(key); Table.Add(key, new Value(key, null, -i)); }
        });
        Apart(() => { for (int i = 0; i < 10; i++) { GC.Collect(0); var garbage = new List<object>(); for (int k = 0; k < 10000; k++) garbage.Add(new object()); } });
        Apart(() => {
            int right = 0;
            foreach (var key in added) { Value value; if (Table.TryGetValue(key, out value) && value.Number == -key.Number && value.Key == key) right++; }
            Console.WriteLine("added " + right);
        });

        // A chain: the value of each key refers to the next key, only the first key is kept. Entered in both orders.
        var heads = new List<Key>(); var links = new WeakReference[200];
        Apart(() => {
            var chain = new Key[200];
            for (int i = 0; i < 200; i++) { chain[i] = new Key(i); links[i] = new WeakReference(chain[i]); }
            for (int i = 0; i < 99; i++) Table.Add(chain[i], new Value(chain[i], chain[i + 1], i));
            for (int i = 198; i >= 100; i--) Table.Add(chain[i], new Value(chain[i], chain[i + 1], i));
            heads.Add(chain[0]); heads.Add(chain[100]);
        });
        Collect();
        Console.WriteLine("chain " + Most(Alive(links), 200));
        Apart(() => {
            int length = 0;
            for (Key key = heads[0]; key != null; length++) { Value value; key = Table.TryGetValue(key, out value) ? value.Other : null; }
            Console.WriteLine("length " + length);
        });
        Apart(() => heads.Clear());
        Collect();
        Console.WriteLine("chain " + Most(Alive(links), 200));

        // A key that its finaliser brings back has its value still.
        Apart(() => { for (int i = 0; i < 50; i++) { var key = new Finalised(); ByFinalised.Add(key, new Value(null, null, 42)); } });
        Collect();
        Apart(() => {
            Value value;
            bool found = Finalised.Resurrected != null && ByFinalised.TryGetValue(Finalised.Resurrected, out value) && value.Number == 42;
            Console.WriteLine("finalised " + Most(Finalised.Count, 50) + ", resurrected " + found);
        });

        // A table that dies with all of its entries.
        var tables = new WeakReference[20]; var inner = new WeakReference[20]; var outer = new List<Key>();
        Apart(() => {
            for (int i = 0; i < 20; i++) {
                var table = new ConditionalWeakTable<Key, Value>(); var key = new Key(i); var value = new Value(key, null, i);
                table.Add(key, value); outer.Add(key); tables[i] = new WeakReference(table); inner[i] = new WeakReference(value);
            }
        });
        Collect();
        Collect();
        Console.WriteLine("tables " + Most(Alive(tables), 20) + " values " + Most(Alive(inner), 20) + " keys " + outer.Count);
        GC.KeepAlive(kept); GC.KeepAlive(outer);
    }
}
