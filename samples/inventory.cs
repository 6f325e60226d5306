// A small program that does real work: builds an inventory, sorts, groups, formats and writes it to a file, reads it back and checks it.
using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

enum Kind { Bolt, Nut, Washer, Screw }

struct Size : IComparable<Size> {
    public readonly int Diameter, Length;
    public Size(int diameter, int length) { Diameter = diameter; Length = length; }
    public int CompareTo(Size other) {
        int order = Diameter.CompareTo(other.Diameter);
        return order != 0 ? order : Length.CompareTo(other.Length);
    }
    public override string ToString() { return "M" + Diameter + "x" + Length; }
}

abstract class Item : IComparable<Item> {
    public Kind Kind;
    public Size Size;
    public int Count;
    public decimal Price;
    public abstract double Weight { get; }
    public int CompareTo(Item other) {
        int order = Kind.CompareTo(other.Kind);
        return order != 0 ? order : Size.CompareTo(other.Size);
    }
}

class Solid : Item {
    public override double Weight { get { return Size.Diameter * Size.Diameter * Size.Length * 0.00617; } }
}

class Ring : Item {
    public override double Weight { get { return Math.Sqrt(Size.Diameter) * 0.5; } }
}

class BadLine : Exception {
    public BadLine(string line, Exception cause) : base("cannot read «" + line + "»", cause) { }
}

static class Program {
    static uint seed = 2463534242;
    static int Next(int limit) { seed ^= seed << 13; seed ^= seed >> 17; seed ^= seed << 5; return (int)(seed % (uint)limit); }

    static List<Item> Make(int count) {
        var items = new List<Item>();
        for (int i = 0; i < count; i++) {
            var kind = (Kind)Next(4);
            Item item = kind == Kind.Washer ? (Item)new Ring() : new Solid();
            item.Kind = kind;
            item.Size = new Size(2 + Next(15), 5 + Next(60));
            item.Count = Next(1000);
            item.Price = (1 + Next(500)) / 100m;
            items.Add(item);
        }
        return items;
    }

    static Item Parse(string line) {
        try {
            string[] parts = line.Split('\t');
            var kind = (Kind)int.Parse(parts[0]);
            Item item = kind == Kind.Washer ? (Item)new Ring() : new Solid();
            item.Kind = kind;
            item.Size = new Size(int.Parse(parts[1]), int.Parse(parts[2]));
            item.Count = int.Parse(parts[3]);
            item.Price = int.Parse(parts[4]) / 100m;
            return item;
        } catch (FormatException cause) {
            throw new BadLine(line, cause);
        }
    }

    static int Main(string[] arguments) {
        int count = arguments.Length > 0 ? int.Parse(arguments[0]) : 20000;
        List<Item> items = Make(count);
        items.Sort();
        var path = Path.GetTempFileName();
        using (var writer = new StreamWriter(path))
            foreach (Item item in items)
                writer.WriteLine("{0}\t{1}\t{2}\t{3}\t{4}", (int)item.Kind, item.Size.Diameter, item.Size.Length, item.Count, (int)(item.Price * 100));

        var totals = new Dictionary<Kind, decimal>();
        var weights = new SortedDictionary<string, double>();
        int lines = 0;
        using (var reader = new StreamReader(path)) {
            string line;
            while ((line = reader.ReadLine()) != null) {
                Item item = Parse(line);
                if (item.CompareTo(items[lines]) != 0 || item.Price != items[lines].Price) throw new Exception("line " + lines + " came back changed");
                decimal total;
                totals.TryGetValue(item.Kind, out total);
                totals[item.Kind] = total + item.Price * item.Count;
                string size = item.Size.ToString();
                double weight;
                weights.TryGetValue(size, out weight);
                weights[size] = weight + item.Weight * item.Count;
                lines++;
            }
        }
        File.Delete(path);

        var report = new StringBuilder();
        report.AppendFormat("{0} lines, {1} sizes", lines, weights.Count).AppendLine();
        foreach (Kind kind in Enum.GetValues(typeof(Kind)))
            report.AppendFormat("{0,-8}{1,16:N2}", kind, totals.ContainsKey(kind) ? totals[kind] : 0m).AppendLine();
        double sum = 0;
        string heaviest = null;
        foreach (KeyValuePair<string, double> pair in weights) {
            sum += pair.Value;
            if (heaviest == null || pair.Value > weights[heaviest]) heaviest = pair.Key;
        }
        report.AppendFormat("heaviest {0} with {1:F1} kg of {2:F1} kg", heaviest, weights[heaviest] / 1000, sum / 1000).AppendLine();
        try { Parse("1\t2\tx\t4\t5"); } catch (BadLine error) { report.AppendLine(error.Message + ": " + error.InnerException.GetType().Name); }
        Console.Write(report);
        return 0;
    }
}
