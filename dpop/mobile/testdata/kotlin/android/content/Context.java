package android.content;

/** Stands in for Android's class of this name, which the Java of gobind mentions. */
public class Context {}
