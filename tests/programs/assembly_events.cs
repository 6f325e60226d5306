// Assemblies that are not found by themselves: the event that asks for them, and the one that tells of them.
using System;
using System.IO;
using System.Reflection;

class Program
{
    static void Main()
    {
        AppDomain.CurrentDomain.AssemblyResolve += Resolve;
        try { Assembly.Load("Missing, Version=1.2.3.4"); }
        catch (FileNotFoundException exception) { Console.WriteLine("not found " + exception.FileName); }
        Console.WriteLine(Assembly.Load("Alias").GetName().Name);
        Console.WriteLine(Assembly.LoadWithPartialName("Nowhere") == null);
        var program = typeof(Program).Assembly;
        Console.WriteLine(Assembly.LoadFrom(program.Location) == program);
        AppDomain.CurrentDomain.AssemblyLoad += (sender, arguments) => Console.WriteLine("loaded " + arguments.LoadedAssembly.GetName().Name);
        Console.WriteLine(Assembly.Load("System.Numerics, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089").GetName().Name);
        var domain = AppDomain.CreateDomain("second");
        domain.DoCallBack(InDomain);
    }

    static Assembly Resolve(object sender, ResolveEventArgs arguments)
    {
        Console.WriteLine("resolve " + arguments.Name + " " + (arguments.RequestingAssembly == null));
        return arguments.Name == "Alias" ? typeof(Program).Assembly : null;
    }

    static void InDomain()
    {
        AppDomain.CurrentDomain.AssemblyResolve += Resolve;
        Console.WriteLine(Assembly.Load("Alias").GetName().Name);
    }
}
