// Types and resources that are not found: the events that ask for them, and for which lookups they are raised.
using System;
using System.Reflection;
using System.Reflection.Emit;

public class Program
{
    static Assembly answer;

    static void Try(string what, Func<object> action)
    {
        try { Console.WriteLine(what + ": " + (action() ?? "null")); }
        catch (Exception exception) { Console.WriteLine(what + ": " + exception.GetType().Name); }
    }

    static Assembly Resolve(object sender, ResolveEventArgs arguments)
    {
        Console.WriteLine("type " + arguments.Name + " " + (arguments.RequestingAssembly == null));
        if (arguments.Name == "Thrown") throw new InvalidOperationException();
        return answer;
    }

    static void Look()
    {
        var own = typeof(Program).Assembly;
        Try("name", () => Type.GetType("Lost"));
        Try("name or exception", () => Type.GetType("Some.Lost", true));
        Try("core library", () => Type.GetType("Lost, mscorlib"));
        Try("nested", () => Type.GetType("Program+Lost"));
        Try("array", () => Type.GetType("Lost[]"));
        Try("argument", () => Type.GetType("System.Collections.Generic.List`1[[Lost]]"));
        Try("assembly", () => own.GetType("Lost"));
        Try("assembly or exception", () => own.GetType("Lost", true));
        Try("module", () => own.ManifestModule.GetType("Lost"));
        Try("no assembly", () => Type.GetType("Lost, Nowhere"));
        Try("there", () => Type.GetType("Program"));
        Try("throwing handler", () => Type.GetType("Thrown"));
        Try("resource", () => own.GetManifestResourceStream("lost"));
        Try("about a resource", () => own.GetManifestResourceInfo("lost"));
    }

    static void Main()
    {
        Look();
        AppDomain.CurrentDomain.TypeResolve += Resolve;
        AppDomain.CurrentDomain.ResourceResolve += (sender, arguments) =>
        {
            Console.WriteLine("resource " + arguments.Name + " " + arguments.RequestingAssembly.GetName().Name);
            return null;
        };
        Look();
        var made = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("made"), AssemblyBuilderAccess.Run);
        var module = made.DefineDynamicModule("made");
        module.DefineType("Lost", TypeAttributes.Public).CreateType();
        module.DefineType("Some.Lost", TypeAttributes.Public).CreateType();
        answer = made;
        Look();
    }
}
