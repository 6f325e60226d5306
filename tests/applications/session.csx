1 + 2
var numbers = Enumerable.Range(1, 10).ToList();
numbers.Where(n => n % 3 == 0).Select(n => n * n)
class Point { public int X, Y; public override string ToString() { return X + "/" + Y; } }
new Point { X = 3, Y = 4 }
int Twice(int x) { return 2 * x; }
Twice(21)
foreach (var n in numbers) Console.Write(n + ";");
undefined
dynamic d = "text"; d.Length
try { int.Parse("x"); } catch (FormatException e) { Console.WriteLine(e.Message); }
