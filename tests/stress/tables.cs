// Big arrays, strings and hash tables.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

static class Program
{
    static readonly Hashtable synchronized = Hashtable.Synchronized (new Hashtable ());

    static void Arrays (Random random)
    {
        var rows = new object [random.Next (10, 2000)][];
        for (int i = 0; i < 100; i++) {
            var row = new object [random.Next (1, 6000)];
            int at = random.Next (rows.Length);
            row [0] = row [row.Length - 1] = at;
            rows [at] = row;
        }
        var square = new string [random.Next (1, 60), random.Next (1, 60)];
        for (int i = 0; i < square.GetLength (0); i++)
            for (int j = 0; j < square.GetLength (1); j++)
                square [i, j] = (i * j).ToString ();
        var large = new long [random.Next (1 << 17)];
        foreach (long number in large)
            Stress.Check (number == 0, "a new array is clear");
        Array.Resize (ref rows, rows.Length * 2);
        var copy = (object[][]) rows.Clone ();
        for (int i = 0; i < copy.Length; i++)
            Stress.Check (copy [i] == null || (int) copy [i] [0] == i && (int) copy [i] [copy [i].Length - 1] == i, "a row");
        for (int i = 0; i < square.GetLength (0); i++)
            for (int j = 0; j < square.GetLength (1); j++)
                Stress.Check (square [i, j] == (i * j).ToString (), "an element of a square");
    }

    static void Strings (Random random)
    {
        var builder = new StringBuilder ();
        var parts = new List<string> ();
        for (int i = 0; i < 200; i++) {
            string part = random.Next ().ToString (CultureInfo.InvariantCulture);
            parts.Add (part);
            builder.Append (part).Append (' ');
        }
        string joined = string.Join (" ", parts);
        Stress.Check (joined + " " == builder.ToString (), "strings that are joined");
        var split = joined.Split (' ');
        for (int i = 0; i < split.Length; i++)
            Stress.Check (split [i] == parts [i], "strings that are split");
        string interned = string.Intern ("interned" + random.Next (50));
        Stress.Check (ReferenceEquals (interned, string.Intern (new string (interned.ToCharArray ()))), "an interned string");
        Stress.Check (Encoding.UTF8.GetString (Encoding.UTF8.GetBytes (joined)) == joined, "an encoding");
    }

    static void Tables (Random random)
    {
        var table = new Hashtable ();
        var dictionary = new Dictionary<string, int[]> ();
        var sorted = new SortedDictionary<long, object> ();
        for (int i = 0; i < 500; i++) {
            object key = random.Next (4) == 0 ? new object () : (object) i;
            table [key] = new object [] { key, i };
            dictionary ["k" + i] = new [] { i };
            sorted [random.Next ()] = i;
            if (random.Next (3) == 0)
                dictionary.Remove ("k" + random.Next (i + 1));
        }
        foreach (DictionaryEntry entry in table)
            Stress.Check (((object[]) entry.Value) [0] == entry.Key && table [entry.Key] == entry.Value, "an entry by an object's hash");
        foreach (var pair in dictionary)
            Stress.Check (pair.Key == "k" + pair.Value [0], "an entry by a string's hash");
        long last = -1;
        foreach (var pair in sorted) {
            Stress.Check (pair.Key > last, "the order of a table");
            last = pair.Key;
        }
        string name = "n" + random.Next (100);
        synchronized [name] = name + "!";
        Stress.Check ((string) synchronized [name] == name + "!", "a table of all threads");
    }

    public static void Round (int round)
    {
        Stress.ParallelWithCollections (round, (random, number) => {
            for (int i = 0; i < 10; i++) {
                Arrays (random);
                Strings (random);
                Tables (random);
            }
        });
    }
}
