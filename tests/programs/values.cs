// Value types: layout, copies, nested structures, passing and returning, boxing, enumerations, arrays of them.
using System;
using System.Runtime.InteropServices;

struct Small { public byte A; public short B; }
struct Vector { public double X, Y, Z; public Vector(double x, double y, double z) { X = x; Y = y; Z = z; }
    public static Vector operator +(Vector a, Vector b) { return new Vector(a.X + b.X, a.Y + b.Y, a.Z + b.Z); }
    public static Vector operator *(Vector a, double k) { return new Vector(a.X * k, a.Y * k, a.Z * k); }
    public double Dot(Vector b) { return X * b.X + Y * b.Y + Z * b.Z; } }
struct Mixed { public int I; public float F; public string S; public Small Inner; public object O; }
struct Floats { public float A, B; }
struct IntFloat { public int A; public float B; public double C; }
[StructLayout(LayoutKind.Explicit)] struct Union { [FieldOffset(0)] public long L; [FieldOffset(0)] public int Low; [FieldOffset(4)] public int High; [FieldOffset(0)] public double D; }
[StructLayout(LayoutKind.Sequential, Pack = 1)] struct Packed { public byte A; public int B; public long C; }
enum Color : byte { Red = 1, Green, Blue = 200 }
[Flags] enum Bits { None = 0, A = 1, B = 2, C = 4 }
struct Big { public long A, B, C, D, E; public string Tail; }

static class Program {
    static Floats Swap(Floats f) { return new Floats { A = f.B, B = f.A }; }
    static IntFloat Mix(IntFloat v, int add) { v.A += add; v.B *= 2; v.C -= 1; return v; }
    static Mixed Change(Mixed m) { m.I++; m.S += "!"; m.Inner.B = 77; m.O = m.I; return m; }
    static Big Sum(Big a, Big b, int c, double d, Big e) { return new Big { A = a.A + b.A + e.A, B = c, C = (long)d, D = a.D, E = e.E, Tail = a.Tail + b.Tail + e.Tail }; }
    static void Touch(ref Mixed m, out Small s, Vector v) { m.F = (float)v.X; s = new Small { A = 1, B = (short)m.I }; }
    static string Show(Mixed m) { return m.I + " " + m.F + " " + m.S + " " + m.Inner.A + "/" + m.Inner.B + " " + m.O; }

    static void Main() {
        var v = new Vector(1, 2, 3) + new Vector(4, 5, 6) * 2;
        Console.WriteLine("{0} {1} {2} {3}", v.X, v.Y, v.Z, v.Dot(v));
        var f = Swap(new Floats { A = 1.5f, B = 2.5f }); Console.WriteLine(f.A + " " + f.B);
        var mix = Mix(new IntFloat { A = 1, B = 2, C = 3 }, 41); Console.WriteLine(mix.A + " " + mix.B + " " + mix.C);
        var m = new Mixed { I = 1, S = "s", Inner = new Small { A = 9, B = -1 } };
        var changed = Change(m);
        Console.WriteLine(Show(m) + " | " + Show(changed));
        Small s; Touch(ref m, out s, v); Console.WriteLine(Show(m) + " | " + s.A + " " + s.B);
        var big = new Big { A = 1, D = 4, E = 5, Tail = "t" };
        var sum = Sum(big, big, 12, 3.9, new Big { A = 100, E = -1, Tail = "u" });
        Console.WriteLine("{0} {1} {2} {3} {4} {5}", sum.A, sum.B, sum.C, sum.D, sum.E, sum.Tail);
        var u = new Union { D = 1.0 }; Console.WriteLine("{0:x} {1:x} {2:x}", u.L, u.Low, u.High);
        unsafe { Console.WriteLine("{0} {1} {2} {3}", sizeof(Small), sizeof(Vector), sizeof(Packed), sizeof(IntFloat)); }
        var array = new Mixed[3]; array[1].I = 5; array[1].Inner.B = 6; array[2] = array[1]; array[1].I = 7;
        Console.WriteLine(Show(array[0]) + " | " + Show(array[1]) + " | " + Show(array[2]));
        var grid = new Vector[2, 3]; grid[1, 2].Y = 8; grid[0, 1] = v; Console.WriteLine(grid[1, 2].Y + grid[0, 1].Z);
        object boxed = s; var copy = (Small)boxed; copy.A = 50; Console.WriteLine(((Small)boxed).A + " " + copy.A + " " + boxed.Equals(s) + " " + boxed.Equals(copy));
        Console.WriteLine("{0} {1} {2} {3}", Color.Green, (Color)3, (int)Color.Blue, Bits.A | Bits.C);
        Console.WriteLine("{0} {1}", Enum.Parse(typeof(Color), "Blue"), Enum.IsDefined(typeof(Color), (byte)2));
        Console.WriteLine("{0} {1}", (object)Color.Red is Color, ((object)Color.Red).GetHashCode());
        Color color = Color.Red; color++; Console.WriteLine(color + " " + color.CompareTo(Color.Blue));
        var time = new DateTime(2020, 2, 28).AddDays(2); Console.WriteLine(time.ToString("yyyy-MM-dd") + " " + (time - new DateTime(2020, 1, 1)).TotalDays);
        decimal money = 10m / 3; Console.WriteLine(money + " " + decimal.Round(money, 2) + " " + (money * 3 == 10m));
        var guid = new Guid("00112233-4455-6677-8899-aabbccddeeff"); Console.WriteLine(guid + " " + guid.ToByteArray()[0]);
        var tuple = Tuple.Create(1, "two", 3.0); Console.WriteLine(tuple + " " + tuple.Equals(Tuple.Create(1, "two", 3.0)));
        var value = (Name: "n", Number: 4); value.Number++; Console.WriteLine(value + " " + value.Name);
    }
}
