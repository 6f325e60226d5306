using System;
using System.Collections.Generic;
using System.Linq;

public class Point
{
    public int X;
    public int Y;
    public string Name { get; set; }
    public List<double> Weights = new List<double>();
}

public class Program
{
    static void Main()
    {
        Console.WriteLine(string.Join(",", Enumerable.Range(0, 5).Select(x => x * x)));
    }
}
